-- The ids are running out: the widest change there is, every row is rewritten.
CREATE TABLE `orders` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `customer_id` int unsigned NOT NULL,
  `product_id` int unsigned NOT NULL,
  `quantity` tinyint unsigned NOT NULL DEFAULT 1,
  `amount` decimal(9,2) NOT NULL,
  `currency` char(3) NOT NULL DEFAULT 'EUR',
  `status` varchar(12) NOT NULL DEFAULT 'new',
  `note` varchar(200) DEFAULT NULL,
  `ordered_at` datetime NOT NULL,
  PRIMARY KEY (`id`),
  KEY `ix_customer` (`customer_id`),
  KEY `ix_status_ordered` (`status`,`ordered_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

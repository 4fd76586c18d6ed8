CREATE TABLE `customers` (
  `id` int unsigned NOT NULL AUTO_INCREMENT,
  `email` varchar(120) NOT NULL,
  `given_name` varchar(40) NOT NULL,
  `family_name` varchar(40) NOT NULL,
  `city` varchar(60) NOT NULL,
  `country` char(2) NOT NULL,
  `phone` varchar(20) DEFAULT NULL,
  `registered_at` datetime NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_email` (`email`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

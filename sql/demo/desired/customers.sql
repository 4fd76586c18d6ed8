-- Longer addresses, and a column for the newsletter.
CREATE TABLE `customers` (
  `id` int unsigned NOT NULL AUTO_INCREMENT,
  `email` varchar(190) NOT NULL,
  `given_name` varchar(40) NOT NULL,
  `family_name` varchar(40) NOT NULL,
  `city` varchar(60) NOT NULL,
  `country` char(2) NOT NULL,
  `phone` varchar(20) DEFAULT NULL,
  `registered_at` datetime NOT NULL,
  `newsletter` tinyint unsigned NOT NULL DEFAULT 0 COMMENT '1 = wants it',
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_email` (`email`),
  KEY `ix_country_city` (`country`,`city`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

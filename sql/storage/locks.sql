-- An owner reserves a database for itself, across environments.
CREATE TABLE `locks` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `database_name` varchar(64) NOT NULL,
  `database_type` varchar(32) NOT NULL,
  `owner` varchar(255) NOT NULL,
  `repository` varchar(255) NOT NULL DEFAULT '',
  `pull_request` bigint NOT NULL DEFAULT 0,
  `pending_plan_id` varchar(64) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `updated_at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_database` (`database_name`, `database_type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The timeline that users see; a line is written in the transaction of what it tells.
CREATE TABLE `apply_logs` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `apply_row` bigint unsigned NOT NULL,
  `task_id` varchar(64) NOT NULL DEFAULT '',
  `level` varchar(8) NOT NULL DEFAULT 'info',
  `event_type` varchar(32) NOT NULL,
  `source` varchar(32) NOT NULL DEFAULT 'schemabot',
  `message` text NOT NULL,
  `old_state` varchar(32) NOT NULL DEFAULT '',
  `new_state` varchar(32) NOT NULL DEFAULT '',
  `lease_token` bigint unsigned NOT NULL DEFAULT 0,
  `created_at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  PRIMARY KEY (`id`),
  KEY `ix_apply` (`apply_row`, `id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

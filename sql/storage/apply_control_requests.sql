-- What operators asked for, append-only. pending_key is not NULL only while pending, so
-- that a second pending request of a kind cannot be stored. silent_since: an engine has
-- accepted this start, and has since then been seen to do nothing.
CREATE TABLE `apply_control_requests` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `apply_row` bigint unsigned NOT NULL,
  `operation` varchar(16) NOT NULL,
  `status` varchar(16) NOT NULL DEFAULT 'pending',
  `requested_by` varchar(255) NOT NULL DEFAULT '',
  `error_message` text,
  `metadata` text NOT NULL,
  `created_at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `completed_at` datetime(6) DEFAULT NULL,
  `silent_since` datetime(6) DEFAULT NULL,
  `pending_key` varchar(48) GENERATED ALWAYS AS (case when `status` = 'pending' then concat(`apply_row`,'/',`operation`) else NULL end) VIRTUAL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_pending` (`pending_key`),
  KEY `ix_apply` (`apply_row`, `id`),
  CONSTRAINT `ck_status` CHECK (`status` in ('pending','completed','failed'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

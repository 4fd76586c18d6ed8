-- One run of a plan. The state is derived from the operations, never set by itself.
-- active_key makes "one active apply per database and environment" a fact of the table.
-- revision grows with every visible change; it is the ETag of the progress reply.
-- deployment names all of its operations' deployments, in order, with commas. released_at
-- is the one-way latch of a release after a failure with on_failure = pause.
CREATE TABLE `applies` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `apply_id` varchar(64) NOT NULL,
  `plan_row` bigint unsigned NOT NULL,
  `external_id` varchar(255) NOT NULL DEFAULT '',
  `idempotency_key` varchar(255) DEFAULT NULL,
  `idempotency_hash` char(64) DEFAULT NULL,
  `database_name` varchar(64) NOT NULL,
  `database_type` varchar(32) NOT NULL,
  `environment` varchar(64) NOT NULL,
  `deployment` varchar(1024) NOT NULL,
  `engine` varchar(32) NOT NULL,
  `repository` varchar(255) NOT NULL DEFAULT '',
  `pull_request` bigint NOT NULL DEFAULT 0,
  `caller` varchar(255) NOT NULL DEFAULT '',
  `options` text NOT NULL,
  `volume` int NOT NULL,
  `state` varchar(32) NOT NULL,
  `error_code` varchar(64) NOT NULL DEFAULT '',
  `error_message` text,
  `revision` bigint unsigned NOT NULL DEFAULT 1,
  `created_at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `started_at` datetime(6) DEFAULT NULL,
  `completed_at` datetime(6) DEFAULT NULL,
  `updated_at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `released_at` datetime(6) DEFAULT NULL,
  `active_key` varchar(160) GENERATED ALWAYS AS (case when `state` in ('completed','failed','cancelled','reverted','stopped') then NULL else concat(`environment`,'/',`database_name`) end) VIRTUAL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_apply_id` (`apply_id`),
  UNIQUE KEY `uq_active` (`active_key`),
  UNIQUE KEY `uq_idempotency_key` (`idempotency_key`),
  KEY `ix_database` (`database_name`, `environment`, `id`),
  KEY `ix_state` (`state`, `id`),
  KEY `ix_plan` (`plan_row`),
  KEY `ix_updated` (`updated_at`, `id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The unit that is claimed and leased. claim_after is the whole queue: the moment from
-- which anybody may claim the row, NULL = nobody may. The two CHECKs make a settled row
-- unclaimable and a row that is neither settled, stopped nor held claimable for ever.
-- A pending row with claim_after NULL is held by the order of its rollout. served_request
-- is the highest request of the apply that this operation has obeyed. progress_mark is the
-- furthest that it has ever been: a driver that dies without getting further is counted.
-- engine_state finds the work in the engine again; engine_accepted = 0: it was stored before
-- the engine was asked. unrecognized counts words of the engine that we do not know.
CREATE TABLE `apply_operations` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `apply_row` bigint unsigned NOT NULL,
  `deployment` varchar(64) NOT NULL,
  `operation_key` varchar(255) NOT NULL DEFAULT '',
  `target` varchar(1024) NOT NULL,
  `state` varchar(32) NOT NULL,
  `claim_after` datetime(6) DEFAULT NULL,
  `lease_token` bigint unsigned NOT NULL DEFAULT 0,
  `lease_owner` varchar(255) DEFAULT NULL,
  `lease_acquired_at` datetime(6) DEFAULT NULL,
  `attempt` int NOT NULL DEFAULT 0,
  `deaths` int NOT NULL DEFAULT 0,
  `progress_mark` bigint unsigned NOT NULL DEFAULT 0,
  `failed_at` datetime(6) DEFAULT NULL,
  `engine_state` longtext,
  `engine_accepted` tinyint NOT NULL DEFAULT 0,
  `poll_errors` int NOT NULL DEFAULT 0,
  `unrecognized` int NOT NULL DEFAULT 0,
  `served_request` bigint unsigned NOT NULL DEFAULT 0,
  `cutover_policy` varchar(16) NOT NULL DEFAULT 'rolling',
  `on_failure` varchar(16) NOT NULL DEFAULT 'halt',
  `error_code` varchar(64) NOT NULL DEFAULT '',
  `error_message` text,
  `created_at` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `started_at` datetime(6) DEFAULT NULL,
  `completed_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_operation` (`apply_row`, `deployment`, `operation_key`),
  KEY `ix_claim` (`claim_after`, `id`),
  KEY `ix_state` (`state`, `id`),
  CONSTRAINT `ck_settled_unclaimable` CHECK (`state` not in ('completed','failed','cancelled','reverted') or `claim_after` is null),
  CONSTRAINT `ck_open_claimable` CHECK (`claim_after` is not null or `state` in ('pending','stopped','completed','failed','cancelled','reverted'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

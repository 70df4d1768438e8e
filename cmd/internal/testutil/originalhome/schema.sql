-- The tables of the original gateway's audit.db: names, types and triggers as it leaves them, as far as this program or
-- an operator can meet them.
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at DATETIME NOT NULL);

CREATE TABLE audit_events (
  id TEXT PRIMARY KEY, timestamp DATETIME NOT NULL, action TEXT NOT NULL, target TEXT,
  actor TEXT NOT NULL DEFAULT 'defenseclaw', details TEXT, structured_json TEXT, severity TEXT, run_id TEXT
);
-- Later versions added the rest, column by column.
ALTER TABLE audit_events ADD COLUMN trace_id TEXT;
ALTER TABLE audit_events ADD COLUMN request_id TEXT;
ALTER TABLE audit_events ADD COLUMN session_id TEXT;
ALTER TABLE audit_events ADD COLUMN agent_name TEXT;
ALTER TABLE audit_events ADD COLUMN agent_instance_id TEXT;
ALTER TABLE audit_events ADD COLUMN policy_id TEXT;
ALTER TABLE audit_events ADD COLUMN destination_app TEXT;
ALTER TABLE audit_events ADD COLUMN tool_name TEXT;
ALTER TABLE audit_events ADD COLUMN tool_id TEXT;
ALTER TABLE audit_events ADD COLUMN schema_version INTEGER;
ALTER TABLE audit_events ADD COLUMN content_hash TEXT;
ALTER TABLE audit_events ADD COLUMN generation INTEGER;
ALTER TABLE audit_events ADD COLUMN binary_version TEXT;
ALTER TABLE audit_events ADD COLUMN agent_id TEXT;
ALTER TABLE audit_events ADD COLUMN sidecar_instance_id TEXT;
ALTER TABLE audit_events ADD COLUMN connector TEXT;
ALTER TABLE audit_events ADD COLUMN step_idx INTEGER;
ALTER TABLE audit_events ADD COLUMN enforced INTEGER;
ALTER TABLE audit_events ADD COLUMN rule_pack_dir TEXT;
ALTER TABLE audit_events ADD COLUMN bucket TEXT;
ALTER TABLE audit_events ADD COLUMN event_name TEXT;
ALTER TABLE audit_events ADD COLUMN source TEXT;
ALTER TABLE audit_events ADD COLUMN signal TEXT;
ALTER TABLE audit_events ADD COLUMN bucket_catalog_version INTEGER;
ALTER TABLE audit_events ADD COLUMN payload_json TEXT;
ALTER TABLE audit_events ADD COLUMN projected_record_json TEXT;
ALTER TABLE audit_events ADD COLUMN record_schema_version INTEGER;
ALTER TABLE audit_events ADD COLUMN projection_hash TEXT;
ALTER TABLE audit_events ADD COLUMN redaction_profile TEXT;
ALTER TABLE audit_events ADD COLUMN mandatory INTEGER;
ALTER TABLE audit_events ADD COLUMN turn_id TEXT;
ALTER TABLE audit_events ADD COLUMN evaluation_id TEXT;
ALTER TABLE audit_events ADD COLUMN scan_id TEXT;
ALTER TABLE audit_events ADD COLUMN finding_id TEXT;
ALTER TABLE audit_events ADD COLUMN enforcement_action_id TEXT;
ALTER TABLE audit_events ADD COLUMN payload_hmac TEXT;
ALTER TABLE audit_events ADD COLUMN integrity_algorithm TEXT;
ALTER TABLE audit_events ADD COLUMN integrity_key_id TEXT;
ALTER TABLE audit_events ADD COLUMN retention_timestamp_unix_nano INTEGER;
CREATE INDEX idx_audit_timestamp ON audit_events(timestamp);
CREATE INDEX idx_audit_action ON audit_events(action);
CREATE INDEX idx_retention_audit_events_timestamp ON audit_events(retention_timestamp_unix_nano, id);
-- The trigger that updates a row which was just inserted: what refuses updates of audit_events breaks every record.
CREATE TRIGGER retention_audit_events_timestamp_insert AFTER INSERT ON audit_events BEGIN
  UPDATE audit_events
     SET retention_timestamp_unix_nano = CAST(strftime('%s', substr(timestamp, 1, 19)) AS INTEGER) * 1000000000
   WHERE id = NEW.id;
END;
CREATE TRIGGER retention_audit_events_timestamp_update AFTER UPDATE OF timestamp ON audit_events BEGIN
  UPDATE audit_events
     SET retention_timestamp_unix_nano = CAST(strftime('%s', substr(timestamp, 1, 19)) AS INTEGER) * 1000000000
   WHERE id = NEW.id;
END;

CREATE TABLE actions (
  id TEXT PRIMARY KEY, target_type TEXT NOT NULL, target_name TEXT NOT NULL, source_path TEXT,
  actions_json TEXT NOT NULL DEFAULT '{}', reason TEXT, updated_at DATETIME NOT NULL
);
ALTER TABLE actions ADD COLUMN schema_version INTEGER;
ALTER TABLE actions ADD COLUMN content_hash TEXT;
ALTER TABLE actions ADD COLUMN generation INTEGER;
ALTER TABLE actions ADD COLUMN binary_version TEXT;
ALTER TABLE actions ADD COLUMN sidecar_instance_id TEXT;
ALTER TABLE actions ADD COLUMN connector TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX idx_actions_type_name_conn ON actions(target_type, target_name, connector);

CREATE TABLE scan_results (
  id TEXT PRIMARY KEY, scanner TEXT NOT NULL, target TEXT NOT NULL, timestamp DATETIME NOT NULL, duration_ms INTEGER,
  finding_count INTEGER, max_severity TEXT, raw_json TEXT, run_id TEXT, verdict TEXT, exit_code INTEGER, error TEXT
);
CREATE TABLE scan_findings (
  id TEXT PRIMARY KEY, scan_id TEXT NOT NULL, scanner TEXT NOT NULL, target TEXT NOT NULL, rule_id TEXT, category TEXT,
  severity TEXT NOT NULL, title TEXT, timestamp DATETIME NOT NULL
);
CREATE TRIGGER scan_findings_require_parent BEFORE INSERT ON scan_findings
WHEN NOT EXISTS (SELECT 1 FROM scan_results WHERE id = NEW.scan_id) BEGIN
  SELECT RAISE(ABORT, 'no such scan');
END;
CREATE TABLE activity_events (
  id TEXT PRIMARY KEY, timestamp DATETIME NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, target_type TEXT NOT NULL,
  target_id TEXT NOT NULL, reason TEXT, before_json TEXT, after_json TEXT, diff_json TEXT, version_from TEXT, version_to TEXT
);
CREATE TABLE alert_acknowledgement_operations (operation_id TEXT PRIMARY KEY, finding_id TEXT NOT NULL, recorded_at DATETIME NOT NULL);
CREATE TRIGGER alert_ack_operations_no_update BEFORE UPDATE ON alert_acknowledgement_operations BEGIN
  SELECT RAISE(ABORT, 'operations are not changed');
END;
CREATE TABLE observability_store_readiness (
  id INTEGER PRIMARY KEY CHECK (id = 1), verification_generation INTEGER NOT NULL, last_verified_at DATETIME NOT NULL
);
CREATE TABLE target_snapshots (
  id TEXT PRIMARY KEY, target_type TEXT NOT NULL, target_path TEXT NOT NULL, content_hash TEXT NOT NULL,
  captured_at DATETIME NOT NULL, UNIQUE(target_type, target_path)
);

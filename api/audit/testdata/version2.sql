-- A database of schema version 2, written by the code before records had named columns.
PRAGMA application_id=1145258357;
PRAGMA user_version=2;
BEGIN TRANSACTION;
CREATE TABLE audit_chain (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	id TEXT NOT NULL,
	started_at TEXT NOT NULL,
	head_seq INTEGER NOT NULL,
	head_hash TEXT NOT NULL,
	anchor_seq INTEGER NOT NULL,
	anchor_hash TEXT NOT NULL
);
INSERT INTO "audit_chain" VALUES(1,'e0f17138-51ed-4b3f-8fd2-d4c569ad442d','2026-11-26T15:13:34.443960766Z',10,'7f5c0533e0a913ad94e5183ffab25e6f100bbdbd9445da4f48f37520a05ee31e',0,'c2d363ac7dab548227f16279edd782063fdf8c739480ebd9246bf5245a4553fe');
CREATE TABLE audit_events (id TEXT PRIMARY KEY, timestamp DATETIME NOT NULL, action TEXT NOT NULL, target TEXT, actor TEXT NOT NULL DEFAULT 'defenseclaw', details TEXT, structured_json TEXT, severity TEXT, run_id TEXT, outcome TEXT, revision_from TEXT, revision_to TEXT, generation INTEGER, request_id TEXT, seq INTEGER, prev_hash TEXT, hash TEXT);
INSERT INTO "audit_events" VALUES('e1','2025-01-02 03:04:05.678','scan','skill/pdf','defenseclaw','an earlier system''s',NULL,'INFO',NULL,NULL,NULL,NULL,NULL,NULL,1,'c2d363ac7dab548227f16279edd782063fdf8c739480ebd9246bf5245a4553fe','90f1d8d522ef4c42b1e476f7a0e2ca53b182bc04e20c8aa2116bc36d06f1d42b');
INSERT INTO "audit_events" VALUES(X'00FF',1735787045,'scan','1.5','defenseclaw',X'FFFE','{"a":1}',NULL,'r',NULL,NULL,NULL,NULL,NULL,2,'90f1d8d522ef4c42b1e476f7a0e2ca53b182bc04e20c8aa2116bc36d06f1d42b','d3b66f0444fe5936b87ce47eec107ba63cb723baa36c16244ed14dd4ebaa1a82');
INSERT INTO "audit_events" VALUES('01a2186b-4aec-7642-af85-ea582f78e340','2026-11-26T15:13:34.444410295Z','audit-adopted','','defenseclaw','2 records of an earlier system begin this chain','{"records":2}','INFO','','applied','','',0,'',3,'d3b66f0444fe5936b87ce47eec107ba63cb723baa36c16244ed14dd4ebaa1a82','e62ce4eec7d7750fa806a234cdc982e0061a2758647f12f3012616d1db2fbf54');
INSERT INTO "audit_events" VALUES('01a2186b-4b45-79ea-b4bb-723f41da250b','2026-11-01T02:03:04.567891234Z','start','','defenseclaw','',NULL,'INFO','run-1','applied','','',0,'',4,'e62ce4eec7d7750fa806a234cdc982e0061a2758647f12f3012616d1db2fbf54','bbb3b2723b3cd52303bfe14f05e2899eaac32fc096a886883d56a96df78fab8f');
INSERT INTO "audit_events" VALUES('01a2186b-4b54-726d-b3a5-dc6122c498b8','2026-11-01T02:03:04.567891234Z','policy-reload','/etc/policy','defenseclaw','reloaded ü','{"trigger":"watch","n":[1,2]}','INFO','run-1','applied','a1','b2',7,'q-1',5,'bbb3b2723b3cd52303bfe14f05e2899eaac32fc096a886883d56a96df78fab8f','23d628a63faa59f6c4744d8bab22bab420401948d2782a35a296c8a82c84470a');
INSERT INTO "audit_events" VALUES('01a2186b-4b5b-78f1-850e-340e55d15124','2026-11-01T02:03:05.567891234Z','policy-reload-rejected','','anna','bad��text',NULL,'WARN','run-1','refused','','',0,'',6,'23d628a63faa59f6c4744d8bab22bab420401948d2782a35a296c8a82c84470a','47b8d83ccdf12927fd34ab4a80525d631bbbaa9b42fbf97655abfee99e92645f');
INSERT INTO "audit_events" VALUES('01a2186b-4b5e-7409-9781-380ebf28fa20','2026-11-26T15:13:34.558264798Z','list-block','skill/evil','anna','malware','{"list":"block","lists_sha256":"7972d228ac7006d252ba41ac56deceaf78f43fd6fdc74db365926a554edb212a","reason":"malware","source_path":"","target_name":"evil","target_type":"skill"}','INFO','run-1','applied','','',0,'q-2',7,'47b8d83ccdf12927fd34ab4a80525d631bbbaa9b42fbf97655abfee99e92645f','6a29bac220f68972617b491b07cf5b62998135a8537beae782a1b4ee9a0e0aff');
INSERT INTO "audit_events" VALUES('01a2186b-4b6c-7458-927c-a0c53fbd94c2','2026-11-26T15:13:34.572284884Z','list-allow','mcp/files','bob','','{"list":"allow","lists_sha256":"f9f96c0dab3c3b4076ac7b403cc4a6f21f020c7694520dc80fcb6a9c9f47b47a","reason":"","source_path":"/srv/mcp","target_name":"files","target_type":"mcp"}','INFO','run-1','applied','','',0,'q-2',8,'6a29bac220f68972617b491b07cf5b62998135a8537beae782a1b4ee9a0e0aff','939092a64ff25343372ed60f0fdc925472b83eb7a9c45601dfe0af44f7c4a939');
INSERT INTO "audit_events" VALUES('01a2186b-4b75-79b6-ae1d-72c449718821','2026-11-26T15:13:34.581636826Z','list-remove','skill/evil','anna','','{"list":"block","lists_sha256":"89fe9842d78f6968fc63d82b976161319144b26cc370e814c2f213fdf5b71f23","removed":{"list":"block","target_type":"skill","target_name":"evil","reason":"malware","actor":"anna","created_at":"2026-11-26T15:13:34.557793577Z"},"target_name":"evil","target_type":"skill"}','INFO','run-1','applied','','',0,'q-3',9,'939092a64ff25343372ed60f0fdc925472b83eb7a9c45601dfe0af44f7c4a939','38b58c22e054a1b742533430c22b3126b1825e9992160c41d3aa82bf1cde2b6e');
INSERT INTO "audit_events" VALUES('01a2186b-4b7f-79ff-8e46-afa7a65f3576','2026-11-26T15:13:34.591655500Z','stop','','defenseclaw','',NULL,'INFO','run-1','applied','','',0,'',10,'38b58c22e054a1b742533430c22b3126b1825e9992160c41d3aa82bf1cde2b6e','7f5c0533e0a913ad94e5183ffab25e6f100bbdbd9445da4f48f37520a05ee31e');
CREATE TABLE list_entries (
	list TEXT NOT NULL CHECK (list IN ('block', 'allow')),
	target_type TEXT NOT NULL,
	target_name TEXT NOT NULL,
	reason TEXT NOT NULL,
	source_path TEXT NOT NULL,
	actor TEXT NOT NULL,
	created_at TEXT NOT NULL,
	PRIMARY KEY (list, target_type, target_name)
);
INSERT INTO "list_entries" VALUES('allow','mcp','files','','/srv/mcp','bob','2026-11-26T15:13:34.571716358Z');
CREATE INDEX idx_audit_timestamp ON audit_events(timestamp);
CREATE INDEX idx_audit_action ON audit_events(action);
CREATE INDEX idx_audit_severity_timestamp ON audit_events(severity, timestamp);
CREATE UNIQUE INDEX audit_events_seq ON audit_events(seq);
CREATE TRIGGER audit_events_unchanged BEFORE UPDATE ON audit_events WHEN OLD.seq IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'audit records are not changed'); END;
CREATE TRIGGER audit_events_kept BEFORE DELETE ON audit_events
WHEN OLD.seq > (SELECT anchor_seq FROM audit_chain)
BEGIN SELECT RAISE(ABORT, 'audit records are removed by retention only'); END;
COMMIT;

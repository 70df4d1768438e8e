package settings

import (
	"slices"
	"strings"
)

// The names that the original gateway and its other programs read, and this program does not. A file or an environment
// that has them is theirs too, so they refuse no start.

// originalSections are keys at the top of config.yaml, each with all that is below it.
var originalSections = strings.Fields(`
	agent ai_discovery application_protection asset_policy audit_db audit_sinks cisco_ai_defense claude_code claw cloud_auth codex
	config_version connector_hooks data_dir default_llm_api_key_env default_llm_model deployment_mode discovery_source environment firewall
	gateway_url inspect_llm judge_bodies_db managed mcp_actions notifications observability openshell otel plugin_actions plugin_dir
	privacy quarantine_dir registries scanners skill_actions splunk tenant_id webhooks workspace_id routing enterprise
`)

// originalKeys are keys in the sections that both programs read, by section.
var originalKeys = map[string][]string{
	"gateway": strings.Fields(`
		approval_timeout_s auto_approve auto_approve_safe device_key_file fleet_mode host max_reconnect_ms port reconnect_ms tls tls_skip_verify
		watchdog watcher no_tls sandbox_home claw_home
	`),
	"guardrail": strings.Fields(`
		allow_empty_providers allow_private_upstreams allow_unknown_llm_domains api_base api_key_env connectors detection_strategy
		detection_strategy_completion detection_strategy_prompt detection_strategy_tool_call enabled hook_fail_mode hook_self_heal
		hook_self_heal_debounce_ms host judge_persist_queue_depth judge_sweep llm model model_name original_model port
		retain_judge_bodies rule_pack rule_pack_dir stream_buffer_bytes
	`),
	"guardrail.judge": strings.Fields("adjudication_timeout fallbacks hook_connectors hook_timeout tool_injection"),
	"watch":           strings.Fields("allow_list_bypass_scan auto_block debounce_ms rescan_content_gated rescan_enabled rescan_interval_min"),
	"llm":             originalModel, "guardrail.judge.llm": originalModel,
}

var originalModel = strings.Fields("azure bedrock extra_headers forward_custom_headers region tls vertex")

func originalKey(key string) bool {
	top, _, _ := strings.Cut(key, ".")
	if slices.Contains(originalSections, top) {
		return true
	}
	for section, names := range originalKeys {
		if rest, in := strings.CutPrefix(key, section+"."); in {
			name, _, _ := strings.Cut(rest, ".")
			if slices.Contains(names, name) {
				return true
			}
		}
	}
	return false
}

// originalVariables are environment variables without their prefix; one that ends in _ begins the names of several.
var originalVariables = strings.Fields(`
	AGENT_INSTANCE_ID ALLOW_ ANTHROPIC_ AUTHENTICODE_ CLAWHUB_ CODEX_ CONNECTOR CORRELATION_ CUSTOM_PROVIDERS_PATH DAEMON DEBUG DEPLOYMENT_MODE DEV
	DISABLE_ DUMP_RAW_SECRETS ENV_CONFIG_ FAIL_MODE FAIL_MODE_ FORCE_ GATEWAY_ADDR GATEWAY_BIN GENERATED_ HEC_ HOOK_ INDEX INSTALL_
	INTEGRATION_ IPC_SOCKET JSONL_ JUDGE_ LLM_ LOCAL_PASSWORD LOCAL_USERNAME LOCAL_SPLUNK_ MIGRATED_ O11Y_ OBSERVABILITY_ OPENSHELL_ OTEL_ OVERLAY_ROOT PD_
	PERSIST_JUDGE PHASE_ POLICY_VALIDATE_ PROXY_TOKEN REF REGISTRY_TOKEN REPO_ROOT REVEAL_PII RUN_ID SANDBOX_ SETUP_ SIDECAR_ SKILL_SCANNER_
	SOURCETYPE SPLUNK_ STAGED_ STRICT_AVAILABILITY TELEMETRY_ TERRAFORM_ TEST TEST_ TOKEN TOOL_INSPECT_ TRACEPARENT TRACESTATE TRUSTED_ TUI_
	UNGUARDED_ UPGRADE_ V8_ WEBEX_ WEBHOOK_ WINDOWS_
`)

func originalVariable(name string) bool {
	return slices.ContainsFunc(originalVariables, func(known string) bool {
		return name == known || strings.HasSuffix(known, "_") && strings.HasPrefix(name, known)
	})
}

package opaconfig

import (
	"fmt"
	"maps"
	"slices"
)

// rule says what of a key is taken.
type rule struct {
	refused string          // why it is not; empty: it is
	keys    map[string]rule // that its value may have; nil: any
	each    *rule           // what holds for each value of a map, or of a list
	only    []any           // the only values that are taken; nil: all
}

func refused(why string) rule             { return rule{refused: why} }
func section(keys map[string]rule) rule   { return rule{keys: keys} }
func eachOf(keys map[string]rule) rule    { return rule{each: &rule{keys: keys}} }
func only(why string, values ...any) rule { return rule{refused: why, only: values} }

var taken rule

const noPlugins = "plugins are compiled into OPA, and this program has none"

var periodic = only("this program sends and asks by itself; periodic was expected", "periodic")

// top are the keys of OPA's configuration.
var top = section(map[string]rule{
	"services": eachOf(map[string]rule{
		"name": taken, "url": taken, "headers": taken, "allow_insecure_tls": taken, "response_header_timeout_seconds": taken, "tls": taken,
		"credentials": section(map[string]rule{
			"bearer": taken, "oauth2": taken, "client_tls": taken, "s3_signing": taken, "gcp_metadata": taken, "azure_managed_identity": taken,
			"plugin": refused(noPlugins),
		}),
		"type": only("a registry (oci) was expected, or no type", "", TypeOCI),
	}),
	"labels": taken,
	"bundles": eachOf(map[string]rule{
		"service": taken, "resource": taken, "size_limit_bytes": taken, "trigger": periodic, "persist": taken,
		"signing": section(map[string]rule{"keyid": taken, "scope": taken, "exclude_files": taken}),
		"polling": section(map[string]rule{
			"min_delay_seconds": taken, "max_delay_seconds": taken, "long_polling_timeout_seconds": taken,
			"superseded_etag_ttl_seconds": refused("one ETag is sent, that of the newest version"),
		}),
	}),
	"keys": eachOf(map[string]rule{"key": taken, "private_key": taken, "algorithm": taken, "scope": taken}),
	"status": section(map[string]rule{
		"service": taken, "partition_name": taken, "console": taken, "prometheus": taken, "trigger": periodic,
		"plugin": refused(noPlugins), "prometheus_config": refused("the buckets of bundle_loading_duration_ns are fixed"),
	}),
	"decision_logs": section(map[string]rule{
		"service": taken, "partition_name": taken, "resource": taken, "console": taken, "mask_decision": taken, "drop_decision": taken,
		"plugin": refused(noPlugins), "request_context": refused("headers of the caller's request are not logged"),
		"nd_builtin_cache": only("results of builtins that differ from call to call are not logged", false),
		"reporting": section(map[string]rule{
			"min_delay_seconds": taken, "max_delay_seconds": taken, "upload_size_limit_bytes": taken, "buffer_size_limit_bytes": taken, "trigger": periodic,
			"buffer_type":              only("the buffer is limited in bytes; size was expected", "", "size"),
			"buffer_size_limit_events": refused("the buffer is limited in bytes; use buffer_size_limit_bytes"),
			"max_decisions_per_second": refused("the log drops what does not fit into its buffer; use buffer_size_limit_bytes"),
		}),
	}),
	"default_decision":      taken,
	"persistence_directory": taken,

	"bundle":    refused("this is the old form for one bundle; write it under bundles"),
	"discovery": refused("a configuration that a bundle brings is not taken; write it into this file"),
	"plugins":   refused(noPlugins),
	"default_authorization_decision": only("decisions about this program's own routes are those of system.authz.allow",
		"/system/authz/allow", "system/authz/allow"),
	"caching":             refused("builtins that could be cached from one decision to the next are not permitted here"),
	"nd_builtin_cache":    only("results of builtins that differ from call to call are not logged", false),
	"distributed_tracing": refused("traces are set by the variables OTEL_…, as docs/reference/metrics.md says"),
	"metrics_export":      refused("metrics are exported as the variables OTEL_… say; see docs/reference/metrics.md"),
	"server":              refused("what the server bounds and how it compresses is set by this program's own flags"),
	"storage":             refused("data is kept in memory"),
})

// check finds the keys that are not taken, in order.
func check(at string, v any, r rule) (wrong []error) {
	switch {
	case v == nil: // as if it was not there
		return nil
	case r.only != nil && slices.Contains(r.only, v):
		return nil
	case r.only != nil:
		return []error{fmt.Errorf("%s is %v: %s", at, v, r.refused)}
	case r.refused != "":
		return []error{fmt.Errorf("%s is not taken: %s", at, r.refused)}
	case r.each != nil:
		return checkEach(at, v, *r.each)
	case r.keys == nil:
		return nil
	}
	section, ok := v.(map[string]any)
	if !ok {
		return []error{fmt.Errorf("%s is %v: a map was expected", at, v)}
	}
	for _, name := range slices.Sorted(maps.Keys(section)) {
		key := name
		if at != "" {
			key = at + "." + name
		}
		one, known := r.keys[name]
		if !known {
			wrong = append(wrong, fmt.Errorf("%s is not taken: OPA's configuration has no such key that is known here", key))
			continue
		}
		wrong = append(wrong, check(key, section[name], one)...)
	}
	return wrong
}

func checkEach(at string, v any, r rule) (wrong []error) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			wrong = append(wrong, check(at+"."+name, v[name], r)...)
		}
	case []any:
		for i, one := range v {
			wrong = append(wrong, check(fmt.Sprintf("%s[%d]", at, i), one, r)...)
		}
	default:
		wrong = append(wrong, fmt.Errorf("%s is %v: a map was expected", at, v))
	}
	return wrong
}

package extauthz

import (
	"maps"
	"slices"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// unify fills headers and body from the other fields in which Envoy can send them, so that a policy reads each in
// one place however Envoy is configured. It changes the request.
func unify(request *authv3.AttributeContext_HttpRequest) {
	if request == nil {
		return
	}
	if needsUnifiedHeaders(request) {
		request.Headers = unifiedHeaders(request)
	}
	if raw := request.GetRawBody(); len(raw) > 0 && request.GetBody() == "" {
		request.Body = validText(string(raw))
	}
}

func needsUnifiedHeaders(request *authv3.AttributeContext_HttpRequest) bool {
	if len(request.GetHeaderMap().GetHeaders()) > 0 {
		return true
	}
	for name := range request.GetHeaders() {
		if name != strings.ToLower(name) {
			return true
		}
	}
	return false
}

// unifiedHeaders returns all headers under names in lower case. The values of one name are joined by commas in
// the order of the request, as Envoy joins them when it sends no raw headers.
func unifiedHeaders(request *authv3.AttributeContext_HttpRequest) map[string]string {
	joined := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(request.GetHeaders())) {
		value := request.GetHeaders()[name]
		name = strings.ToLower(name)
		if earlier, ok := joined[name]; ok {
			value = earlier + "," + value
		}
		joined[name] = value
	}
	raw := map[string][]string{}
	for _, h := range request.GetHeaderMap().GetHeaders() {
		value := h.GetValue()
		if bytes := h.GetRawValue(); len(bytes) > 0 {
			value = validText(string(bytes))
		}
		name := strings.ToLower(h.GetKey())
		raw[name] = append(raw[name], value)
	}
	for name, values := range raw {
		value := strings.Join(values, ",")
		if other, ok := joined[name]; ok && other != value {
			value = other + "," + value
		}
		joined[name] = value
	}
	return joined
}

// validText replaces bytes that are not UTF-8, which neither JSON nor protobuf's strings can hold, as Envoy does.
func validText(s string) string { return strings.ToValidUTF8(s, "!") }

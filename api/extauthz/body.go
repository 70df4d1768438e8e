package extauthz

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/util"
)

// headerPartial is how Envoy says that it sent the beginning of a body only.
const headerPartial = "x-envoy-auth-partial-body"

// parseBody reads a body by its content type: JSON and the two kinds of forms. The value is nil for a
// body of another kind, for none, and for one of which a part is missing, which truncated says.
func parseBody(asked *authv3.AttributeContext_HttpRequest) (value any, truncated bool, err error) {
	if header(asked, headerPartial) == "true" {
		return nil, true, nil
	}
	body := asked.GetBody()
	if body == "" {
		body = string(asked.GetRawBody())
	}
	contentType := header(asked, "content-type")
	parse := parserOf(contentType)
	if parse == nil || body == "" {
		return nil, false, nil
	}
	if length := header(asked, "content-length"); length != "" {
		whole, err := strconv.ParseInt(length, 10, 64)
		if err != nil {
			return nil, false, fmt.Errorf("content-length %q is not a number", length)
		}
		if whole > int64(len(body)) {
			return nil, true, nil
		}
	}
	value, err = parse(body, contentType)
	return value, false, err
}

type parser func(body, contentType string) (any, error)

// parserOf is nil for a content type that is not read.
func parserOf(contentType string) parser {
	contentType = strings.ToLower(contentType)
	switch {
	case strings.Contains(contentType, "application/json"):
		return parseJSON
	case strings.Contains(contentType, "application/x-www-form-urlencoded"):
		return parseForm
	case strings.Contains(contentType, "multipart/form-data"):
		return parseMultipart
	default:
		return nil
	}
}

func parseJSON(body, _ string) (value any, err error) {
	err = util.UnmarshalJSON([]byte(body), &value)
	return value, err
}

func parseForm(body, _ string) (any, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	return listsOf(values), nil
}

// parseMultipart gives each field the list of its values, those that say that they are JSON as such.
// Parts without a field's name are passed over.
func parseMultipart(body, contentType string) (any, error) {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, err
	}
	if parameters["boundary"] == "" {
		return nil, nil
	}
	fields := map[string]any{}
	parts := multipart.NewReader(strings.NewReader(body), parameters["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // wrapped, it says that the end is missing
			return fields, nil
		}
		if err != nil {
			return nil, err
		}
		name := part.FormName()
		if name == "" {
			continue
		}
		value, err := parsePart(part)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		list, _ := fields[name].([]any)
		fields[name] = append(list, value)
	}
}

func parsePart(part *multipart.Part) (any, error) {
	text, err := io.ReadAll(part)
	if err != nil {
		return nil, err
	}
	if strings.Contains(strings.ToLower(part.Header.Get("Content-Type")), "application/json") {
		return parseJSON(string(text), "")
	}
	return string(text), nil
}

// header finds a header in the map that Envoy sends or, where it was told to send them as bytes, in
// the list that it sends then.
func header(asked *authv3.AttributeContext_HttpRequest, name string) string {
	if value, ok := asked.GetHeaders()[name]; ok {
		return value
	}
	for _, h := range asked.GetHeaderMap().GetHeaders() {
		if h.GetKey() != name {
			continue
		}
		if raw := h.GetRawValue(); len(raw) > 0 {
			return string(raw)
		}
		return h.GetValue()
	}
	return ""
}

package api

import (
	"errors"
	"net/http"

	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
)

// bundleStatus is GET /v1/status, as OPA answers it: what is told to the service of the status, too.
func (s *Server) bundleStatus(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.BundleStatus == nil {
		writer.ErrorString(w, http.StatusInternalServerError, types.CodeInternal, errors.New("status plugin not enabled"))
		return nil
	}
	var now any = s.cfg.BundleStatus()
	writer.JSONOK(w, types.StatusResponseV1{Result: &now}, r.URL.Query().Has(types.ParamPrettyV1))
	return nil
}

// opaConfig is GET /v1/config: OPA's configuration, without credentials and keys.
func (s *Server) opaConfig(w http.ResponseWriter, r *http.Request) error {
	var config any = map[string]any{}
	if s.cfg.OPAConfig != nil {
		config = s.cfg.OPAConfig()
	}
	writer.JSONOK(w, types.ConfigResponseV1{Result: &config}, r.URL.Query().Has(types.ParamPrettyV1))
	return nil
}

package opa

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/open-policy-agent/opa/v1/server/types"
)

// Health lets healthy answer GET of /health, with 200. With the parameter bundles or plugins, which ask whether
// decisions can be made, it answers 500 itself while they cannot. There are no plugins to exclude.
func (a *API) Health(healthy http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, _ := a.Serving()
		if a.Ready != nil && a.Ready() != nil {
			g = nil
		}
		x := &exchange{API: a, w: w, r: r, g: g, params: r.URL.Query()}
		err := x.unready()
		if err == nil {
			healthy(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_ = json.NewEncoder(w).Encode(types.HealthResponseV1{Error: err.Error()}) // an error means that the caller has gone
	})
}

func (x *exchange) unready() error {
	if x.g != nil && (x.BundlesMissing == nil || !x.BundlesMissing()) {
		return nil
	}
	//nolint:staticcheck // callers still use the deprecated name
	if x.flag(types.ParamBundleActivationV1) || x.flag(types.ParamBundlesActivationV1) {
		return errors.New("one or more bundles are not activated")
	}
	if x.flag(types.ParamPluginsV1) {
		return errors.New("one or more plugins are not up")
	}
	return nil
}

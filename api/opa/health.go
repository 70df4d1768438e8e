package opa

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
)

// Health answers GET of /health: 200 while the process lives. Those who ask for bundles or plugins
// want to know whether decisions are answered; to them it is 500 while nothing serves. There are no
// plugins that could be excluded.
func (a *API) Health() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{API: a, w: w, r: r, g: a.Current(), params: r.URL.Query()}
		err := x.unready()
		if err == nil {
			writer.JSONOK(w, types.HealthResponseV1{}, false)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_ = json.NewEncoder(w).Encode(types.HealthResponseV1{Error: err.Error()}) // the prober went away
	})
}

func (x *exchange) unready() error {
	if x.g != nil {
		return nil
	}
	//nolint:staticcheck // the deprecated name is still asked for
	if x.flag(types.ParamBundleActivationV1) || x.flag(types.ParamBundlesActivationV1) {
		return errors.New("one or more bundles are not activated")
	}
	if x.flag(types.ParamPluginsV1) {
		return errors.New("one or more plugins are not up")
	}
	return nil
}

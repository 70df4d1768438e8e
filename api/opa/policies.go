package opa

import (
	"fmt"
	"net/http"

	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
)

// Policies answers GET of /v1/policies with all modules. The id of a module is the path of its file.
func (a *API) Policies() http.Handler {
	return a.handler(func(x *exchange) {
		all := []types.PolicyV1{}
		for _, f := range x.g.Files() {
			if m := x.g.Module(f.Path); m != nil {
				all = append(all, types.PolicyV1{ID: f.Path, Raw: string(f.Bytes), AST: m})
			}
		}
		x.write(types.PolicyListResponseV1{Result: all})
	}, http.MethodGet)
}

// Policy answers GET of /v1/policies/{path} with the module of one file.
func (a *API) Policy() http.Handler {
	return a.handler(func(x *exchange) {
		id := x.r.PathValue("path")
		for _, f := range x.g.Files() {
			if m := x.g.Module(id); m != nil && f.Path == id {
				x.write(types.PolicyGetResponseV1{Result: types.PolicyV1{ID: id, Raw: string(f.Bytes), AST: m}})
				return
			}
		}
		err := fmt.Errorf("storage_not_found_error: policy id %q", id)
		writer.ErrorString(x.w, http.StatusNotFound, types.CodeResourceNotFound, err)
	}, http.MethodGet)
}

package extauthz

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// authorization implements the gRPC service. It is a type of its own so that Server does not export Check,
// which would bypass Admit.
type authorization struct {
	*Server
	authv3.UnimplementedAuthorizationServer
}

// Check implements [authv3.AuthorizationServer].
func (a authorization) Check(ctx context.Context, request *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	id, response, err := a.check(ctx, request)
	if a.cfg.DryRun {
		return a.allowAnyway(request, id, response, err), nil
	}
	if err != nil && ctx.Err() == nil {
		a.logError(request, id, err)
	}
	return response, err
}

// check answers a request as without a dry run. id is the id of the decision.
func (a authorization) check(ctx context.Context, request *authv3.CheckRequest) (id string, response *authv3.CheckResponse, err error) {
	g, err := a.cfg.Serving()
	if err != nil {
		return "", nil, status.Error(codes.Unavailable, err.Error())
	}
	generation := metadata.Pairs(decision.HeaderGeneration, strconv.FormatUint(g.Number(), 10), decision.HeaderRevision, g.Revision())
	_ = grpc.SetHeader(ctx, generation) // an error means that the caller has gone
	id = decision.ID(g)
	seen, err := input(request)
	if err != nil {
		response := deniedResponse(http.StatusBadRequest, err.Error())
		response.Status.Message = err.Error()
		return id, response, nil
	}
	result, defined, err := a.decide(ctx, g, decision.Question{
		ID: id, Path: a.cfg.Policy, Input: seen, RequestedBy: caller(ctx), RequestID: request.GetAttributes().GetRequest().GetHttp().GetId(),
	})
	_, unavailable := engine.RetryAfter(err)
	switch {
	case ctx.Err() != nil:
		err = status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, engine.ErrDecisionTimeout):
		err = status.Error(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, engine.ErrBusy):
		err = status.Error(codes.ResourceExhausted, err.Error())
	case unavailable:
		err = status.Error(codes.Unavailable, err.Error())
	case err != nil:
		err = status.Error(codes.Unknown, err.Error())
	case !defined:
		err = status.Errorf(codes.Unknown, "%s is undefined", a.cfg.Policy)
	default:
		if response, err = respond(a.cfg.Policy, result); err != nil {
			return id, nil, status.Error(codes.Unknown, err.Error())
		}
		response.DynamicMetadata.Fields["decision_id"] = structpb.NewStringValue(id)
	}
	return id, response, err
}

// decide makes one decision, within the generation's deadline or the caller's if that is earlier.
func (s *Server) decide(ctx context.Context, g *engine.Generation, q decision.Question) (result any, defined bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.Timeout())
	defer cancel()
	ctx, end := s.cfg.Begin(ctx, g, q)
	result, defined, err = g.DecideInput(ctx, q.Path, q.Input)
	end(decision.Answer{Result: result, Defined: defined, Err: err})
	return result, defined, err
}

// caller returns the address of the proxy; empty for a Unix socket.
func caller(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil || p.Addr.Network() == "unix" {
		return ""
	}
	return p.Addr.String()
}

// logError logs why a request was denied without a decision, which Envoy does not report.
func (s *Server) logError(request *authv3.CheckRequest, id string, err error) {
	fields := about(request, id, zap.Error(err))
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted: // the first is in the log already; the second would only add load
	case codes.DeadlineExceeded:
		s.cfg.Logger.Warn("a decision for Envoy took too long", fields...)
	default:
		s.cfg.Logger.Error("a decision for Envoy could not be made", fields...)
	}
}

// allowAnyway returns the answer of a dry run, and logs the real one unless it allows.
func (s *Server) allowAnyway(request *authv3.CheckRequest, id string, response *authv3.CheckResponse, err error) *authv3.CheckResponse {
	denied := response.GetDeniedResponse()
	switch {
	case err != nil:
		s.cfg.Logger.Info("dry run: a request would have been answered by an error", about(request, id, zap.Error(err))...)
	case denied != nil:
		s.cfg.Logger.Info("dry run: a request would have been denied", about(request, id,
			zap.Int32("http_status", int32(denied.GetStatus().GetCode())), zap.String("body", denied.GetBody()))...)
	default:
		return response
	}
	allowed := okResponse(&authv3.OkHttpResponse{})
	allowed.DynamicMetadata = response.GetDynamicMetadata()
	return allowed
}

// about returns log fields that identify the request. It omits the query string, which may contain a secret.
func about(request *authv3.CheckRequest, id string, more ...zap.Field) []zap.Field {
	httpRequest := request.GetAttributes().GetRequest().GetHttp()
	path, _, _ := strings.Cut(httpRequest.GetPath(), "?")
	return append([]zap.Field{
		zap.String("decision_id", id), zap.String("request_id", httpRequest.GetId()), zap.String("method", httpRequest.GetMethod()),
		zap.String("host", httpRequest.GetHost()), zap.String("path", path),
	}, more...)
}

package extauthz

import (
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// aroundCall admits a call, and keeps a panic in it from ending the process.
func (s *Server) aroundCall(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Logger.Error("a call panicked", zap.String("method", info.FullMethod), zap.Any("panic", v), zap.Stack("stack"))
			response, err = nil, status.Error(codes.Internal, "internal error")
		}
	}()
	if ctx, err = s.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

// aroundStream admits a stream, which watches the health, and ends it when the server stops.
func (s *Server) aroundStream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, err := s.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.serving, cancel)()
	return handle(service, endingStream{stream, ctx})
}

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements [grpc.ServerStream].
func (s endingStream) Context() context.Context { return s.ctx }

// admit checks whether a call is permitted. Health checks need no token, as over HTTP.
func (s *Server) admit(ctx context.Context, method string) (context.Context, error) {
	if strings.HasPrefix(method, "/"+grpc_health_v1.Health_ServiceDesc.ServiceName+"/") {
		return ctx, nil
	}
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: method}, Proto: "HTTP/2.0", ProtoMajor: 2, Header: http.Header{}}
	if caller, ok := peer.FromContext(ctx); ok {
		r.RemoteAddr = caller.Addr.String()
	}
	headers, _ := metadata.FromIncomingContext(ctx)
	for name, values := range headers {
		r.Header[textproto.CanonicalMIMEHeaderKey(name)] = values
	}
	return s.cfg.Admit(r.WithContext(ctx))
}

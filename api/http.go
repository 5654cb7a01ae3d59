package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const requestIDHeader = "X-Request-Id"

// visit is what the log line of a request tells; the layers inside fill it.
type visit struct {
	id      string
	problem *Problem
	who     Principal
	job     string
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	if v == nil {
		return &visit{}
	}
	return v
}

// RequestID gives the id of the request, for logs.
func RequestID(ctx context.Context) string { return visitOf(ctx).id }

func note(ctx context.Context, p *Problem)     { visitOf(ctx).problem = p }
func noteKey(ctx context.Context, p Principal) { visitOf(ctx).who = p }
func noteJob(ctx context.Context, job string)  { visitOf(ctx).job = job }

// outer is what surrounds all routes: request id, span, log line, metrics, and a problem instead of a crash.
func (s *Server) outer(mux *http.ServeMux) http.Handler {
	tracer := otel.Tracer("onsite")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		v := &visit{id: requestID(r.Header.Get(requestIDHeader))}
		ctx := context.WithValue(r.Context(), visitKey{}, v)
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header)) // also where this process sends no traces itself
		ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		r = r.WithContext(ctx)
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set(requestIDHeader, v.id)
		rec.Header().Set("X-Content-Type-Options", "nosniff")
		rec.Header().Set("Cache-Control", "no-store") // answers are about people
		defer func() {
			if cause := recover(); cause != nil {
				s.crashed(rec, r, v, cause)
			}
			s.done(r, rec, v, span, begun)
		}()
		// Of every request, or the last one's deadline on this connection would stand. A recorder in a test has none.
		_ = http.NewResponseController(w).SetWriteDeadline(begun.Add(s.Limits.WriteTimeout))
		if r.ContentLength != 0 { // the server reads what is left of a small body before it answers: not for ever
			_ = http.NewResponseController(w).SetReadDeadline(begun.Add(s.Limits.ReadIdle))
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			s.unrouted(mux, rec, r)
			return
		}
		mux.ServeHTTP(rec, r)
	})
}

// crashed answers a panic with a problem where nothing was sent yet.
func (s *Server) crashed(rec *recorder, r *http.Request, v *visit, cause any) {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		rec.aborted = true
		return
	}
	// What it panicked with may hold what was sent, a name or a secret: its type and the place are enough to find the fault.
	v.problem = problem(codeInternal).because(fmt.Errorf("panic: %T", cause))
	s.Log.ErrorContext(r.Context(), "a request handler panicked", "request", v.id, "panic", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
	if rec.status == 0 {
		writeProblem(rec, r, v.problem)
	} else {
		rec.aborted = true // the answer is half written: the client must not take it for whole
	}
}

// done writes the request's log line, metrics and span.
func (s *Server) done(r *http.Request, rec *recorder, v *visit, span trace.Span, begun time.Time) {
	took := time.Since(begun)
	route := routeOf(r)
	status := rec.status
	switch {
	case status == 0 && r.Context().Err() != nil:
		status = statusClientGone
	case status == 0:
		status = http.StatusOK
	}
	s.Metrics.observe(route, status, took)
	span.SetName(r.Method + " " + route)
	span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	// The path without its query: that may hold a signature or a cursor. Subjects are in some paths, so the route stands instead of it.
	attrs := []slog.Attr{slog.String("request", v.id), slog.String("method", r.Method), slog.String("route", route), slog.Int("status", status),
		slog.Int64("took_ms", took.Milliseconds()), slog.Int64("bytes", rec.bytes)}
	if v.who.Key != "" {
		attrs = append(attrs, slog.String("tenant", v.who.Tenant), slog.String("key", v.who.Key))
	}
	if rec.aborted {
		attrs = append(attrs, slog.Bool("cut_off", true))
	}
	if v.job != "" {
		attrs = append(attrs, slog.String("job", v.job))
	}
	level := slog.LevelInfo
	if v.problem != nil {
		attrs = append(attrs, slog.String("code", v.problem.Code))
		broken := status >= http.StatusInternalServerError || rec.aborted
		if broken {
			level = slog.LevelError
		}
		if broken || v.problem.Code == string(codeReference) { // what is the matter with a stored photo the operator may want to know
			if v.problem.cause != nil {
				attrs = append(attrs, slog.String("error", v.problem.cause.Error()))
			}
		}
	}
	if strings.HasPrefix(route, "/livez") || strings.HasPrefix(route, "/readyz") || strings.HasPrefix(route, "/metrics") {
		level = slog.LevelDebug // asked every few seconds
	}
	s.Log.LogAttrs(r.Context(), level, "request", attrs...)
	if rec.aborted {
		panic(http.ErrAbortHandler)
	}
}

// routeOf is the pattern without its method; "other" for what is not a route, so that metrics do not grow with what strangers try.
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "other"
	}
	if _, path, ok := strings.Cut(r.Pattern, " "); ok {
		return path
	}
	return r.Pattern
}

// unrouted answers what the mux has no handler for, in our own form.
func (s *Server) unrouted(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	probe := httptest.NewRecorder()
	h, _ := mux.Handler(r)
	h.ServeHTTP(probe, r)
	if allow := probe.Header().Get("Allow"); probe.Code == http.StatusMethodNotAllowed {
		writeProblem(w, r, problem(codeMethod).header("Allow", allow))
		return
	}
	writeProblem(w, r, problem(codeNoRoute))
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	note(r.Context(), p)
	for k, v := range p.headers {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p.in(langOf(r.Header.Get("Accept-Language")), RequestID(r.Context()))) // the client is gone, then
}

// requestID takes the caller's id when it is harmless in a log, else makes one.
func requestID(given string) string {
	if len(given) < 8 || len(given) > 64 {
		return ulid.Make().String()
	}
	for _, c := range []byte(given) {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '-', c == '_', c == '.':
		default:
			return ulid.Make().String()
		}
	}
	return given
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status  int
	bytes   int64
	aborted bool
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// traceParent gives the W3C trace context of the request's span, for the job's tasks.
func traceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

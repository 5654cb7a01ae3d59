package service

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"onsite/cmd/onsite/config"
	"onsite/pipeline/verify"
)

// startTraces sends spans to a collector when one is configured; else nothing is recorded, but a caller's trace context still travels with
// its job. The returned function sends what is left.
func startTraces(ctx context.Context, c config.OTLP, role config.Role, log *slog.Logger) (stop func(), err error) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	if c.Endpoint == "" {
		return func() {}, nil
	}
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("trace to %s: %w", c.Endpoint, err)
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint.String()))
	if err != nil {
		return nil, fmt.Errorf("trace to %s: %w", c.Endpoint, err)
	}
	// A collector that is away must not fill the log: the SDK repeats its error with every batch.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Debug("traces were not sent", "error", err.Error()) }))
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "onsite-"+string(role)), attribute.String("service.version", verify.Version))))
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last traces were not sent", "error", err.Error())
		}
	}, nil
}

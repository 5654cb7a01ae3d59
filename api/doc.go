// Package api is the HTTP API: uploads in, verdicts out, and the configuration of tenants.
//
// Every operation is registered with huma through register, which looks its roles up in one table (access.go), answers errors as
// RFC 9457 problems in English or Chinese (problem.go, catalogue.go), and is part of the OpenAPI description at /openapi.json. A tenant
// comes from the API key alone; nothing in a request can name another one.
//
// It may import results, pipeline and models, never workers: what it needs from there and from cmd stands in seam.go as interfaces.
// Nothing inside those imports this package.
package api

package service

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"onsite/cmd/onsite/config"
	"onsite/pipeline/media"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(workerVariable); path != "" { // this process is a worker that a test will kill
		os.Exit(runWorker(path))
	}
	// go-redis tries a failed connection again a second later, and notices only then that its pool is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func TestUploadsAreAsLargeAsTheDecoderTakes(t *testing.T) {
	limit := media.DefaultLimits().Bytes
	require.EqualValues(t, config.MaxUploadBytes, limit)
}

func TestLogLeadsToTheTrace(t *testing.T) {
	var out bytes.Buffer
	log := NewLog(&out, config.Log{Level: "info", Format: "json"})
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	log.With("job", "J").InfoContext(ctx, "done")
	log.Debug("hidden")
	require.Contains(t, out.String(), `"msg":"done","job":"J","trace":"01000000000000000000000000000000"}`)
	require.NotContains(t, out.String(), "hidden")
	out.Reset()
	NewLog(&out, config.Log{Level: "debug", Format: "text"}).Debug("seen")
	require.Contains(t, out.String(), "level=DEBUG msg=seen")
}

func TestNotify(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "s"), "@onsite-test-notify"} {
		address := path
		conn, err := net.ListenPacket("unixgram", address)
		require.NoError(t, err)
		t.Setenv("NOTIFY_SOCKET", path)
		notify(t.Context(), "READY=1")
		buf := make([]byte, 64)
		n, _, err := conn.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, "READY=1", string(buf[:n]))
		require.NoError(t, conn.Close())
		notify(t.Context(), "STOPPING=1") // nobody listens: no harm
	}
	t.Setenv("NOTIFY_SOCKET", "")
	notify(t.Context(), "READY=1")
}

func TestListenFaults(t *testing.T) {
	first, err := listen(t.Context(), config.API{Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer first.listener.Close()
	var why *Fault
	_, err = listen(t.Context(), config.API{Listen: first.listener.Addr().String()})
	require.ErrorAs(t, err, &why)
	require.Contains(t, why.Text.EN, "is taken by another program")
	require.Contains(t, why.Text.ZH, "已被其他程序占用")
	_, err = listen(t.Context(), config.API{Listen: "203.0.113.1:1"})
	require.ErrorContains(t, err, "cannot listen on 203.0.113.1:1")
	file := filepath.Join(t.TempDir(), "x.pem")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	_, err = listen(t.Context(), config.API{Listen: "127.0.0.1:0", TLSCert: file, TLSKey: file})
	require.ErrorContains(t, err, "give a PEM chain and its key")
}

// A stopping server lets a request finish, and ends one that would wait for ever.
func TestServeDrains(t *testing.T) {
	s, err := listen(t.Context(), config.API{Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	begun := make(chan struct{}, 2)
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "whole")
	})
	mux.HandleFunc("/ever", func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, mux, nil, slog.New(slog.DiscardHandler)) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answers := make(chan string, 2)
	for _, path := range []string{"/short", "/ever"} {
		go func() {
			r, err := client.Get(s.url() + path)
			if err != nil {
				answers <- err.Error()
				return
			}
			body, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			answers <- string(body)
		}()
	}
	<-begun
	<-begun
	stop()
	close(release)
	require.Equal(t, "whole", <-answers)
	began := time.Now()
	<-answers
	require.NoError(t, <-served)
	require.Less(t, time.Since(began), drainRequests)
}

func TestServeTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	s, err := listen(t.Context(), config.API{Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- s.serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }), nil, slog.New(slog.DiscardHandler))
	}()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	r, err := (&http.Client{Transport: transport}).Get(s.url())
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, "HTTP/2.0", string(body))
	transport.CloseIdleConnections()
	stop()
	require.NoError(t, <-served)
}

func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(cert, chain, 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	return cert, key, pool
}

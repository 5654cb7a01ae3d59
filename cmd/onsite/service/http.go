package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"onsite/cmd/onsite/config"
)

// site is an HTTP server that listens already, so that its address can be told before anything else starts.
type site struct {
	listener net.Listener
	secure   bool
	server   *http.Server
}

// listen takes the address of the API.
func listen(ctx context.Context, c config.API) (*site, error) {
	s := &site{}
	var tc *tls.Config
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fault(err,
				fmt.Sprintf("the certificate %s with the key %s cannot be used: %v; give a PEM chain and its key", c.TLSCert, c.TLSKey, err),
				fmt.Sprintf("无法使用证书 %s 与私钥 %s：%v；请提供 PEM 格式的证书链及对应私钥", c.TLSCert, c.TLSKey, err))
		}
		tc = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
		s.secure = true
	}
	listener, err := open(ctx, "api.listen", c.Listen)
	if err != nil {
		return nil, err
	}
	if tc != nil {
		listener = tls.NewListener(listener, tc)
	}
	s.listener = listener
	return s, nil
}

// open takes a TCP address; its faults say what to do.
func open(ctx context.Context, key, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault(err,
			fmt.Sprintf("the address %s is taken by another program; stop that, or choose another with %s (port 0 takes a free one)", address, key),
			fmt.Sprintf("地址 %s 已被其他程序占用；请停止该程序，或用 %s 指定其他地址（端口 0 表示任选空闲端口）", address, key))
	case errors.Is(err, syscall.EACCES):
		return nil, fault(err,
			fmt.Sprintf("this user may not listen on %s; choose a port from 1024 with %s", address, key),
			fmt.Sprintf("当前用户无权监听 %s；请用 %s 指定 1024 以上的端口", address, key))
	case err != nil:
		return nil, fault(err, fmt.Sprintf("cannot listen on %s: %v; correct %s", address, err, key), fmt.Sprintf("无法监听 %s：%v；请修改 %s", address, err, key))
	}
	return l, nil
}

// url is where this machine reaches the server.
func (s *site) url() string {
	scheme := "http"
	if s.secure {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return scheme + "://" + s.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// drainRequests is how long requests in work get when the server stops; after half of it they lose their context. Clients come back with the
// same request and idempotency key.
const drainRequests = 10 * time.Second

// serve answers until ctx ends, then tells drain (nil: nobody), and lets requests finish.
func (s *site) serve(ctx context.Context, h http.Handler, drain func(), log *slog.Logger) error {
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s.server = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute, // what a body or an answer may take is the API's business
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // handshakes that strangers broke off,
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP on %s: %w", s.listener.Addr(), err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainRequests)
	defer cancel()
	if drain != nil {
		drain()
	}
	grace := time.AfterFunc(drainRequests/2, end)
	defer grace.Stop()
	err := s.server.Shutdown(stopping)
	if err != nil {
		err = s.server.Close()
	}
	if serr := <-failed; err == nil && !errors.Is(serr, http.ErrServerClosed) {
		err = serr
	}
	return err
}

package service

import (
	"context"
	"net"
	"os"
)

// notify tells systemd about the state of a unit of Type=notify ("READY=1", "STOPPING=1"); elsewhere it does nothing. The protocol is one
// datagram (sd_notify(3)), so no library is taken for it.
func notify(ctx context.Context, state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' { // an abstract socket
		path = "\x00" + path[1:]
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixgram", path)
	if err != nil {
		return // systemd notices by its own time limit
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}

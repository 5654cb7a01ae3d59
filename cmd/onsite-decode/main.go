package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"onsite/pipeline/media/wire"
)

const (
	inputFD  = 3
	outputFD = 1
	// maxRequest is the longest request in bytes; a real one has about 600.
	maxRequest = 1 << 16
)

// fdWriter writes to a descriptor without Go's poller.
type fdWriter int

func (f fdWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(int(f), p[done:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, fmt.Errorf("write the answer: %w", err)
		}
		done += n
	}
	return done, nil
}

func main() {
	debug.SetGCPercent(-1) // a short life with little Go memory; the pixels are C's
	if len(os.Args) == 2 && os.Args[1] == "--probe-sandbox" {
		os.Exit(probe())
	}
	out := bufio.NewWriterSize(fdWriter(outputFD), 4096)
	if err := answer(os.Stdin, out); err != nil {
		// The parent reads this; when it is gone there is nobody to tell.
		_ = wire.WriteJSON(out, wire.KindBroken, err.Error())
		_ = out.Flush()
		os.Exit(1)
	}
}

func answer(in io.Reader, out *bufio.Writer) error {
	if _, err := out.Write(wire.Magic[:]); err != nil {
		return err
	}
	if err := closeInherited(); err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxRequest))
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var req wire.Request
	if err := json.Unmarshal(raw, &req); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if err := setup(req.Container); err != nil {
		return err
	}
	status := openStatus()
	hello := wire.Hello{Libav: versions()}
	if hello.Sandbox, hello.Missing, err = raiseWalls(req.Limits, nil); err != nil {
		return fmt.Errorf("the sandbox cannot be built, so nothing is decoded: %w", err)
	}
	if err := wire.WriteJSON(out, wire.KindHello, hello); err != nil {
		return err
	}
	if req.Hang {
		if err := out.Flush(); err != nil {
			return err
		}
		for {
			unix.Nanosleep(&unix.Timespec{Sec: 3600}, nil) //nolint:errcheck // tests: waits to be killed
		}
	}
	switch req.Container {
	case "jpeg", "png", "webp", "heic":
		err = photo(req, status, out)
	default:
		err = movie(req, status, out)
	}
	var refused refusal
	if errors.As(err, &refused) {
		err = wire.WriteJSON(out, wire.KindRefused, wire.Refusal(refused))
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// refusal is an error that is the media's fault.
type refusal wire.Refusal

func (r refusal) Error() string { return r.Rule + " " + r.Value }

func refuse(rule string, value, limit any) error {
	r := refusal{Rule: rule}
	if value != nil {
		r.Value = fmt.Sprint(value)
	}
	if limit != nil {
		r.Limit = fmt.Sprint(limit)
	}
	return r
}

// addTag keeps the beginning of a container tag when it is text.
func addTag(tags map[string]string, key, value string) {
	const most = 512
	key = strings.ToLower(key)
	if len(value) > most && utf8.ValidString(value) {
		value = strings.ToValidUTF8(value[:most], "")
	}
	if len(key) > 64 || len(value) > most || len(tags) >= 48 || !utf8.ValidString(key) || !utf8.ValidString(value) {
		return
	}
	if _, there := tags[key]; !there {
		tags[key] = value
	}
}

package media

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// child is the decoder program, built from the sources under test.
var child string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "onsite-decode")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	child = filepath.Join(dir, "onsite-decode")
	build := exec.Command("go", "build", "-o", child, "onsite/cmd/onsite-decode")
	build.Env = append(os.Environ(), "CGO_LDFLAGS=", "CGO_CXXFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the decoder child: %v\n%s", err, out)
		os.Exit(1)
	}
	fixtureDir = filepath.Join(dir, "fixtures")
	if err := os.Mkdir(fixtureDir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if left := childrenOf(os.Getpid()); len(left) > 0 {
			fmt.Fprintln(os.Stderr, "processes left over:", left)
			code = 1
		}
	}
	if err := os.RemoveAll(dir); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// childrenOf lists the processes whose parent is pid, zombies too, each as its number and name.
func childrenOf(pid int) []string {
	var out []string
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, after, ok := strings.Cut(string(raw), ") ")
		if fields := strings.Fields(after); ok && len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			before, _, _ := strings.Cut(string(raw), ")")
			out = append(out, before+")")
		}
	}
	return out
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}

func newDecoder(t testing.TB, change func(*Options)) *Decoder {
	t.Helper()
	o := Options{Path: child}
	if change != nil {
		change(&o)
	}
	d, err := NewDecoder(o)
	require.NoError(t, err)
	return d
}

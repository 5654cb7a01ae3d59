// Command onsite verifies that a photo or a short video shows the enrolled person, live, at the right place, in new footage.
//
// It wires the rooms together and speaks to people: arguments, progress, tables, exit states. It decides nothing itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"gocv.io/x/gocv"
	"golang.org/x/term"
)

// program is the command line. Every command has --json; errors go to stderr, results to stdout.
type program struct {
	Lang string `help:"Language of tables, reports and errors: auto (from the environment), en or zh." enum:"auto,en,zh" default:"auto"`

	Verify   verifyCmd   `cmd:"" help:"Verify one clip or photo and print the verdict."`
	Enroll   enrollCmd   `cmd:"" group:"A running service" help:"Enroll people with their photos, one or many."`
	Site     siteCmd     `cmd:"" group:"A running service" help:"Write, list, show and delete sites."`
	Submit   submitCmd   `cmd:"" group:"A running service" help:"Submit one clip or photo."`
	Jobs     jobsCmd     `cmd:"" group:"A running service" help:"Show jobs."`
	Verdicts verdictsCmd `cmd:"" group:"A running service" help:"Show verdicts."`
	Tasks    tasksCmd    `cmd:"" group:"A running service" name:"challenge" help:"Ask for tasks that a person is to fulfil in the next recording."`
	Reuse    reuseCmd    `cmd:"" group:"A running service" help:"Mark matches of the reuse check as wrong, list marks, revoke them."`
	Reverify reverifyCmd `cmd:"" group:"A running service" help:"Make verdicts again from what they name, and say what differs."`
	Evidence evidenceCmd `cmd:"" group:"A running service" help:"Export a signed evidence package of a verdict; check one offline."`
	Serve    serveCmd    `cmd:"" group:"Run the service" help:"Run all of it on this machine: API, worker, store, private Redis."`
	API      apiCmd      `cmd:"" group:"Run the service" name:"api" help:"Run the API alone, with PostgreSQL, Redis and S3."`
	Worker   workerCmd   `cmd:"" group:"Run the service" help:"Run a worker alone, with PostgreSQL, Redis and S3."`
	Migrate  migrateCmd  `cmd:"" group:"Run the service" help:"Bring the results store's tables to this version, or say where they are."`
	Tenant   tenantCmd   `cmd:"" group:"Run the service" help:"Add and list tenants, directly in the results store."`
	APIKey   keyCmd      `cmd:"" group:"Run the service" name:"key" help:"Add, list and revoke API keys, directly in the results store."`
	Audit    auditCmd    `cmd:"" group:"Run the service" help:"Check the audit log against the store and the files; its key and signed head."`
	Intake   intakeCmd   `cmd:"" group:"Run the service" help:"Show events of buckets that belong to no tenant, directly in the results store."`
	KEK      kekCmd      `cmd:"" group:"Run the service" name:"kek" help:"Make a key-encryption key."`
	Models   modelsCmd   `cmd:"" help:"Install and list the models."`
	Bench    benchCmd    `cmd:"" help:"Measure throughput and accuracy."`
	Scene    sceneCmd    `cmd:"" help:"Train the generic heads of the scene check."`
	Chaos    chaosCmd    `cmd:"" help:"Break things while jobs run, and count what was lost: nothing may be."`
	Load     loadCmd     `cmd:"" help:"Play a company's morning against a service: arrivals that do not wait, latency from when each was due, queue, throughput by workers."`
	Doctor   doctorCmd   `cmd:"" help:"Say what is installed, what is missing and how to fix it."`
	Version  versionCmd  `cmd:"" help:"Print the program's version."`
}

// env is what every command gets.
type env struct {
	out, err io.Writer
	lang     string // en or zh
	terminal bool   // stderr is a terminal: progress may be drawn
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// moment reads a time; the parser's own mapper speaks of Go's layouts.
func moment(k *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := k.Scan.PopValueInto("time", &text); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("%q is no time; write it like 2026-11-22T08:55:00+08:00 or 2026-11-22T00:55:00Z", text)
	}
	target.Set(reflect.ValueOf(t))
	return nil
}

func run(args []string, out, errOut io.Writer) int {
	// One thread per OpenCV call: concurrency comes from running checks and jobs side by side.
	gocv.SetNumThreads(1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks the command to end in order; a second one must not wait for that.
	context.AfterFunc(ctx, stop)

	var p program
	exited := -1
	parser, err := kong.New(&p,
		kong.Name("onsite"),
		kong.Description("Onsite verifies the photo or 15-second video that an employee uploads to prove \"I am here, now, at work\"."),
		kong.UsageOnError(),
		kong.Writers(out, errOut),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.TypeMapper(reflect.TypeFor[time.Time](), kong.MapperFunc(moment)),
	)
	if err != nil {
		fmt.Fprintln(errOut, "onsite:", err)
		return exitOther
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(spreadFaces(args))
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		return (&env{out: out, err: errOut, lang: askedLanguage(args)}).fail(parseError(err), wantsJSON(args))
	}
	e := &env{out: out, err: errOut, lang: language(p.Lang), terminal: isTerminal(errOut)}
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(e); err != nil {
		return e.fail(err, wantsJSON(args))
	}
	return exitOK
}

// spreadFaces lets a shell pattern follow --face: in "verify clip.mp4 --face refs/*.jpg" every word up to the next flag is a face, once
// the media has been named; so it is in "evidence replay".
func spreadFaces(args []string) []string {
	verify := slices.IndexFunc(args, func(a string) bool { return a == "verify" || a == "replay" })
	if verify < 0 {
		return args
	}
	out := make([]string, 0, len(args)+4)
	media, inFaces, value := false, false, false
	for i, a := range args {
		switch {
		case i <= verify:
		case a == "--face":
			inFaces, value = true, true
		case strings.HasPrefix(a, "-"):
			inFaces = false
			value = !strings.Contains(a, "=") && takesValue(a)
		case value:
			value = false
		case inFaces && media:
			out = append(out, "--face")
		default:
			media = true
		}
		out = append(out, a)
	}
	return out
}

// takesValue says whether a flag of verify or replay is followed by its value.
func takesValue(flag string) bool {
	switch flag {
	case "--json", "--mock", "--help", "-h":
		return false
	}
	return true
}

// wantsJSON says whether a command line asks for JSON, also one that could not be read as a whole.
func wantsJSON(args []string) bool {
	asked := false
	for _, a := range args {
		switch a {
		case "--":
			return asked
		case "--json", "--json=true":
			asked = true
		case "--json=false":
			asked = false
		}
	}
	return asked
}

// language resolves "auto" from the environment as other programs do.
func language(flag string) string {
	if flag != "auto" {
		return flag
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if strings.HasPrefix(strings.ToLower(v), "zh") {
				return "zh"
			}
			return "en"
		}
	}
	return "en"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

var errInterrupted = errors.New("interrupted")

// Command yizhen runs a city's specialised-town programme: the town registry, project tracking, the special fund, the
// performance assessment, and the gateway that gives them REST. `yizhen --help` lists what it can do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line, and with it what the environment and the configuration file may say: see loadConfig.
type cli struct {
	Config    kong.ConfigFlag `help:"Read settings from this YAML file." placeholder:"FILE"`
	LogLevel  slog.Level      `help:"Log this level and above: debug (every call), info, warn or error." default:"info"`
	LogFormat string          `help:"Log as text or json." enum:"text,json" default:"text"`

	Serve      serveCommand      `cmd:"" help:"Run all services and the gateway on this machine."`
	Demo       demoCommand       `cmd:"" help:"Run one year of Jincheng's programme and show what came of it."`
	Town       townCommand       `cmd:"" help:"Run the town registry alone."`
	Project    projectCommand    `cmd:"" help:"Run project tracking alone."`
	Fund       fundCommand       `cmd:"" help:"Run the special fund alone."`
	Assessment assessmentCommand `cmd:"" help:"Run the performance assessment alone."`
	Access     accessCommand     `cmd:"" help:"Run access control alone."`
	Gateway    gatewayCommand    `cmd:"" help:"Run the REST gateway alone."`
	Token      tokenCommand      `cmd:"" help:"Make a token, and the lines of a credentials file that admit it."`
	Key        keyCommand        `cmd:"" help:"Make an API key, and the digest that access control is told of it."`
	Journal    journalCommand    `cmd:"" help:"Read, verify and archive journals, and make the keys that sign them."`
	Backup     backupCommand     `cmd:"" help:"Put the store of a service, running or stopped, into a file."`
	Restore    restoreCommand    `cmd:"" help:"Make a store of a backup, as it was or as it was at an earlier revision."`
	Settings   settingsCommand   `cmd:"" help:"Check the configuration file and list every setting with its three names."`
}

func main() {
	// The first signal asks for a graceful stop; a second one ends the program at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings passed in. It returns the exit status: 0 if all went well, 1 if not, 2 if the command
// line or the settings are wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	type exit int // help has been printed, and kong wants to leave
	defer func() {
		if code, ok := recover().(exit); ok {
			status = int(code)
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("yizhen"),
		kong.Description("Yizhen (一镇) keeps the records of a city's specialised-town programme."),
		kong.UsageOnError(),
		kong.DefaultEnvars(envPrefix),
		kong.Configuration(loadConfig),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		fmt.Fprintln(stderr, "yizhen:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "yizhen:", err)
		return 2
	}
	if parsed.Command() == "demo" {
		c.LogLevel = max(c.LogLevel, slog.LevelWarn) // among the lines of the story
	}
	if err := parsed.Run(logger(stderr, c.LogFormat, c.LogLevel)); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "yizhen:", err)
		return 1
	}
	return 0
}

func logger(w io.Writer, format string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

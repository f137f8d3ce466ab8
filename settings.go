package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

// envPrefix begins the name of every environment variable that sets a flag.
const envPrefix = "YIZHEN"

// configFile holds the settings of a configuration file by one rule: a key is the name of a flag without its hyphens in
// front, `call-timeout: 10s` for --call-timeout. Under the name of a command stands what holds for that command only. A
// flag beats the environment, the environment the file, and in the file the command's own section the rest.
type configFile map[string]any

var _ kong.Resolver = configFile{}

func loadConfig(r io.Reader) (kong.Resolver, error) {
	var settings map[string]any
	if err := yaml.NewDecoder(r).Decode(&settings); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return configFile(settings), nil
}

// Resolve implements kong.Resolver.
func (f configFile) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if slices.ContainsFunc(flag.Envs, func(name string) bool { return os.Getenv(name) != "" }) {
		return nil, nil
	}
	if section, ok := f[ctx.Selected().Name].(map[string]any); ok && section[flag.Name] != nil {
		return text(section[flag.Name]), nil
	}
	if f[flag.Name] != nil {
		return text(f[flag.Name]), nil
	}
	return nil, nil
}

// text gives kong a value as it would stand on the command line.
func text(v any) any {
	if b, ok := v.(bool); ok {
		return b
	}
	return fmt.Sprint(v)
}

// Validate implements kong.Resolver: it refuses keys that set nothing, since a misspelt one would go unnoticed.
func (f configFile) Validate(app *kong.Application) error {
	var errs []error
	known := map[string]bool{}
	for _, command := range append([]*kong.Node{app.Node}, app.Children...) {
		own := map[string]bool{}
		for _, flag := range command.Flags {
			known[flag.Name], own[flag.Name] = true, true
		}
		for _, flag := range app.Flags {
			own[flag.Name] = true
		}
		section, ok := f[command.Name].(map[string]any)
		if !ok {
			continue
		}
		known[command.Name] = true
		for key := range section {
			if !own[key] {
				errs = append(errs, fmt.Errorf("configuration file: %s has no setting %q", command.Name, key))
			}
		}
	}
	for key := range f {
		if !known[key] {
			errs = append(errs, fmt.Errorf("configuration file: there is no setting %q", key))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// settingsCommand lists the settings. That it runs at all means that the configuration file, if one was named, is right.
type settingsCommand struct{}

// Run prints one line for each setting.
func (settingsCommand) Run(app *kong.Kong, w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMMAND\tFLAG\tENVIRONMENT\tKEY IN THE FILE\tDEFAULT")
	line := func(command, key string, flag *kong.Flag) {
		fmt.Fprintf(table, "%s\t--%s\t%s\t%s\t%s\n", command, flag.Name, strings.Join(flag.Envs, ","), key, flag.Default)
	}
	for _, flag := range app.Model.Flags {
		if flag.Name != "help" && flag.Name != "config" {
			line("(all)", flag.Name, flag)
		}
	}
	for _, command := range app.Model.Children {
		for _, flag := range command.Flags {
			line(command.Name, command.Name+": {"+flag.Name+": …}", flag)
		}
	}
	return table.Flush()
}

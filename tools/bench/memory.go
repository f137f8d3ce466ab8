package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// memory notes how much memory a server has resident, right after its loads: what it has for itself, and the pages of the
// store's file that are mapped, which the kernel takes back as it needs them.
func (b *bench) memory(r *registry, last bool) error {
	if runtime.GOOS != "linux" {
		b.table.note("memory is measured on Linux only")
		return nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.pid))
	if err != nil {
		return err
	}
	kib := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		var n int
		if _, err := fmt.Sscanf(value, "%d kB", &n); err == nil {
			kib[name] = n
		}
	}
	file, err := os.Stat(filepath.Join(b.folder, fmt.Sprintf("town-%d.db", r.filled)))
	if err != nil {
		return err
	}
	const mib = 1 << 10
	total := float64(kib["VmRSS"]) / mib
	text := fmt.Sprintf("%.0f MiB: own %d, mapped %d of %d", total, kib["RssAnon"]/mib,
		(kib["RssFile"]+kib["RssShmem"])/mib, file.Size()>>20)
	if last {
		b.table.fact(fmt.Sprintf("resident memory at %d rows", r.rows()), text, "< 300 MiB", total < 300)
	} else {
		b.table.fact(fmt.Sprintf("resident memory at %d rows", r.rows()), text, "", false)
	}
	return nil
}

// runc-bounded runs runc after removing, from the OCI spec it is about to use,
// the capabilities that are not in this process's bounding set.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// in kernel order: the index is the capability's number
var names = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID
 SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER
 SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE
 SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN
 SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

func bounding() (uint64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, "CapBnd:"); ok {
			return strconv.ParseUint(strings.TrimSpace(v), 16, 64)
		}
	}
	return 0, fmt.Errorf("no CapBnd in /proc/self/status")
}

// filter rewrites the spec in file; inProcess: capabilities sit below "process"
func filter(file string, inProcess bool) error {
	have, err := bounding()
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var doc map[string]any
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return err
	}
	proc := doc
	if inProcess {
		proc, _ = doc["process"].(map[string]any)
	}
	sets, _ := proc["capabilities"].(map[string]any)
	missing := map[string]bool{}
	for i, n := range names {
		if have&(1<<uint(i)) == 0 {
			missing["CAP_"+n] = true
		}
	}
	for k, v := range sets {
		list, _ := v.([]any)
		kept := []any{}
		for _, c := range list {
			if s, _ := c.(string); !missing[s] {
				kept = append(kept, c)
			}
		}
		sets[k] = kept
	}
	out, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return os.WriteFile(file, out, 0o600)
}

func value(args []string, long, short string) string {
	for i, a := range args {
		if (a == long || a == short) && i+1 < len(args) {
			return args[i+1]
		}
		if v, ok := strings.CutPrefix(a, long+"="); ok {
			return v
		}
	}
	return ""
}

func main() {
	args := os.Args[1:]
	for i, a := range args {
		var err error
		if a == "create" || a == "run" {
			err = filter(filepath.Join(value(args[i:], "--bundle", "-b"), "config.json"), true)
		} else if a == "exec" {
			if f := value(args[i:], "--process", "-p"); f != "" {
				err = filter(f, false)
			}
		} else {
			continue
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "runc-bounded:", err)
			os.Exit(1)
		}
		break
	}
	runc, err := exec.LookPath("runc")
	if err == nil {
		err = syscall.Exec(runc, append([]string{"runc"}, args...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "runc-bounded:", err)
	os.Exit(1)
}

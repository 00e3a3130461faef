package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	workloadattestor "github.com/spiffe/spire-plugin-sdk/proto/spire/plugin/agent/workloadattestor/v1"
	config "github.com/spiffe/spire-plugin-sdk/proto/spire/service/common/config/v1"
	"golang.org/x/sys/unix"
)

// Only a whole answer about the process that was handed over becomes a selector.
func TestAttest(t *testing.T) {
	for said, selector := range map[string]string{
		"party:agent/reader\n":           "party:agent/reader",
		"":                               "",
		"party:agent/read":               "",
		"party:agent/reader\nparty:zt\n": "party:agent/reader",
		"unix:uid:0\n":                   "",
		"party:\n":                       "",
		strings.Repeat("a", 512):         "",
		"party:" + strings.Repeat("a", 256) + "\n": "",
		"silent": "",
	} {
		socket := filepath.Join(t.TempDir(), "s")
		listening, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan int)
		go func() {
			connection, _ := listening.AcceptUnix()
			rights := make([]byte, unix.CmsgSpace(4))
			_, read, _, _, _ := connection.ReadMsgUnix(make([]byte, 1), rights)
			messages, _ := unix.ParseSocketControlMessage(rights[:read])
			descriptors, _ := unix.ParseUnixRights(&messages[0])
			if said != "silent" {
				connection.Write([]byte(said))
				connection.Close()
			}
			asked <- descriptors[0]
		}()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		answer, err := (&plugin{socket: socket}).Attest(ctx, &workloadattestor.AttestRequest{Pid: int32(os.Getpid())})
		if got := strings.Join(answer.GetSelectorValues(), " "); got != selector || (err == nil) != (selector != "" || said == "") {
			t.Errorf("%q: %q, %v", said, got, err)
		}
		link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", <-asked))
		if link != "anon_inode:[pidfd]" && link != "pidfd" && !strings.HasPrefix(link, "pidfd:") {
			t.Errorf("handed over: %s", link)
		}
		cancel()
	}
}

// Without a socket there is nobody to ask, and the agent must not start as if there were.
func TestConfigure(t *testing.T) {
	for data, socket := range map[string]string{`socket = "/s"`: "/s", `socket = ""`: "", "": "", "socket =": ""} {
		one := new(plugin)
		_, err := one.Configure(context.Background(), &config.ConfigureRequest{HclConfiguration: data})
		if one.socket != socket || (err == nil) != (socket != "") {
			t.Errorf("%q: %q, %v", data, one.socket, err)
		}
	}
}

// A program that runs is replaced, not written to; of the files, certificates alone are taken, and one may be missing.
func TestInstall(t *testing.T) {
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "kubelet.crt")
	block := func(kind string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(kind)}))
	}
	os.WriteFile(file, []byte("text\n"+block("CERTIFICATE")+block("PRIVATE KEY")+block("CERTIFICATE")), 0o600)
	os.WriteFile(filepath.Join(folder, "zt"), []byte("old"), 0o755)
	runs, _ := os.Open(filepath.Join(folder, "zt"))
	if err := install(folder, filepath.Join(folder, "missing"), file); err != nil {
		t.Fatal(err)
	}
	if old, _ := io.ReadAll(runs); string(old) != "old" {
		t.Error("written to, while it runs")
	}
	if taken, _ := os.ReadFile(filepath.Join(folder, "kubelet.pem")); string(taken) != block("CERTIFICATE")+block("CERTIFICATE") {
		t.Errorf("taken: %s", taken)
	}
	made, _ := os.Stat(filepath.Join(folder, "zt"))
	if own, _ := os.Stat("/proc/self/exe"); made.Size() != own.Size() || made.Mode() != 0o755 {
		t.Errorf("made: %v", made)
	}
	if install(folder, folder) == nil {
		t.Error("a folder was read")
	}
}

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	workloadattestor "github.com/spiffe/spire-plugin-sdk/proto/spire/plugin/agent/workloadattestor/v1"
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
		strings.Repeat("a", 2*most):      "",
		"party:" + strings.Repeat("a", most) + "\n": "",
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

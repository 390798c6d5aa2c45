package charttest

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// What each Dockerfile says is done by hand, since a gate has no Docker: the files that it
// copies are copied, less those that its .dockerignore names, its commands are
// run, and what comes out is started in an otherwise empty root, as the user that it names.
func TestImagesRunWithNothingElse(t *testing.T) {
	if testing.Short() {
		t.Skip("builds what is in the images")
	}
	files, err := filepath.Glob(filepath.Join(checkout, "cmd", "*", "Dockerfile"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			image := buildImage(t, readDockerfile(t, file), ignoredBy(t, file+".dockerignore"))
			for _, name := range image.files {
				assertStatic(t, filepath.Join(image.root, name))
			}
			out, err := image.command(t, "--version").CombinedOutput()
			require.NoError(t, err, "%s --version: %s", image.entrypoint, out)
			assert.Contains(t, string(out), imageVersion, "the version that the image was built with")
		})
	}
}

// The pods run as the user that the hub's image names.
func TestPodsRunAsTheImagesUser(t *testing.T) {
	var user string
	for _, i := range readDockerfile(t, filepath.Join(checkout, "cmd", "edgehub", "Dockerfile")) {
		if i.name == "USER" {
			user = i.text
		}
	}
	for _, h := range mustRender(t).hubs(t) {
		s := h.template.Spec.SecurityContext
		require.NotNil(t, s)
		assert.Equal(t, user, userOf(s))
	}
}

func userOf(s *corev1.PodSecurityContext) string {
	if s.RunAsUser == nil || s.RunAsGroup == nil {
		return "the image's"
	}
	return fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup)
}

// imageVersion is the VERSION that images are built with.
const imageVersion = "9.8.7"

// instruction is one of a Dockerfile.
type instruction struct {
	name string // in capitals
	text string // what follows, in one line
}

// readDockerfile returns the instructions, without comments.
func readDockerfile(t *testing.T, file string) []instruction {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []instruction
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAll(text, nil)
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAll(text, nil)
	for line := range strings.Lines(string(text)) {
		if name, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all = append(all, instruction{strings.ToUpper(name), strings.TrimSpace(rest)})
		}
	}
	return all
}

// ignoredBy returns whether a .dockerignore leaves a path out.
func ignoredBy(t *testing.T, file string) func(name string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var patterns []string
	for line := range strings.Lines(string(text)) {
		pattern := path.Clean(strings.Trim(strings.TrimSpace(line), "/"))
		if pattern == "." || strings.HasPrefix(pattern, "#") {
			continue
		}
		require.NotRegexp(t, `^!|\*\*`, pattern, "%s: this test knows plain patterns only", file)
		patterns = append(patterns, pattern)
	}
	return func(name string) bool {
		for ; name != "."; name = path.Dir(name) { // a folder that is left out takes with it what is in it
			for _, pattern := range patterns {
				if matches, _ := path.Match(pattern, name); matches {
					return true
				}
			}
		}
		return false
	}
}

// stage is a part of a Dockerfile, from one FROM to the next.
type stage struct {
	root string            // folder that stands for /
	work string            // WORKDIR
	env  map[string]string // ARG
}

// image is what a Dockerfile leaves.
type image struct {
	root       string
	files      []string // all, by their paths below root
	user       string
	entrypoint []string
}

// buildImage does what the instructions say. Absolute paths lie below their stage's folder.
func buildImage(t *testing.T, dockerfile []instruction, ignored func(string) bool) *image {
	t.Helper()
	result, stages := &image{}, map[string]*stage{}
	var now *stage
	for _, i := range dockerfile {
		words := strings.Fields(i.text)
		switch i.name {
		case "FROM":
			now = newStage(t)
			if at := slices.Index(words, "AS"); at >= 0 {
				stages[words[at+1]] = now
			}
		case "ARG":
			now.arguments(words)
		case "WORKDIR":
			now.work = i.text
			require.NoError(t, os.MkdirAll(filepath.Join(now.root, now.work), 0o755))
		case "COPY":
			now.copy(t, words, stages, ignored)
		case "RUN":
			now.run(t, i.text)
		case "USER":
			result.user = i.text
		case "ENTRYPOINT":
			require.NoError(t, json.Unmarshal([]byte(i.text), &result.entrypoint), "ENTRYPOINT without a shell")
		case "EXPOSE", "LABEL":
		default:
			require.Fail(t, "this test does not know the instruction", i.name)
		}
	}
	require.NotNil(t, now)
	result.root = now.root
	require.NoError(t, fs.WalkDir(os.DirFS(now.root), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			result.files = append(result.files, name)
		}
		return err
	}))
	require.NotEmpty(t, result.files)
	return result
}

func newStage(t *testing.T) *stage {
	t.Helper()
	root, err := os.MkdirTemp(ownFolder, "image") // a test's own folder is closed to other users
	require.NoError(t, err)
	for dir := root; dir != filepath.Dir(ownFolder); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	return &stage{root: root, work: "/", env: map[string]string{}}
}

// arguments notes what ARG names, with the values that Docker or we give it.
func (s *stage) arguments(words []string) {
	given := map[string]string{"VERSION": imageVersion, "TARGETOS": runtime.GOOS, "TARGETARCH": runtime.GOARCH}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		if given[name] != "" {
			value = given[name]
		}
		s.env[name] = value
	}
}

// copy copies from the checkout, or from another stage.
func (s *stage) copy(t *testing.T, words []string, stages map[string]*stage, ignored func(string) bool) {
	t.Helper()
	from := checkout
	if name, ok := strings.CutPrefix(words[0], "--from="); ok {
		require.Contains(t, stages, name)
		from, words = stages[name].root, words[1:]
		ignored = func(string) bool { return false }
	}
	to := words[len(words)-1]
	intoFolder := strings.HasSuffix(to, "/") || to == "."
	if !path.IsAbs(to) {
		to = path.Join(s.work, to)
	}
	for _, name := range words[:len(words)-1] {
		target := filepath.Join(s.root, to)
		source := filepath.Join(from, name)
		info, err := os.Stat(source)
		require.NoError(t, err, "COPY %s", name)
		if !info.IsDir() {
			if intoFolder {
				target = filepath.Join(target, filepath.Base(name))
			}
			copyFile(t, source, target)
			continue
		}
		copyTree(t, source, target, func(below string) bool { return ignored(path.Join(name, below)) })
	}
}

func copyTree(t *testing.T, source, target string, ignored func(string) bool) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS(source), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ignored(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			copyFile(t, filepath.Join(source, name), filepath.Join(target, name))
		}
		return nil
	}))
}

func copyFile(t *testing.T, source, target string) {
	t.Helper()
	content, err := os.ReadFile(source)
	require.NoError(t, err)
	info, err := os.Stat(source)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
	require.NoError(t, os.WriteFile(target, content, info.Mode().Perm()))
}

// output is where a build is told to put its result.
var output = regexp.MustCompile(`(-o\s+)(/\S+)`)

// run runs a command as its stage would, with what a build writes below the stage's folder.
func (s *stage) run(t *testing.T, command string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", output.ReplaceAllString(command, "${1}"+s.root+"${2}"))
	cmd.Dir = filepath.Join(s.root, s.work)
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		cmd.Env = append(cmd.Env, name+"="+s.env[name])
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "RUN %s: %s", command, out)
}

// assertStatic checks that a program needs no interpreter and no library.
func assertStatic(t *testing.T, file string) {
	t.Helper()
	program, err := elf.Open(file)
	require.NoError(t, err, "a file in the image is no program")
	defer program.Close()
	for _, part := range program.Progs {
		assert.NotContains(t, []elf.ProgType{elf.PT_INTERP, elf.PT_DYNAMIC}, part.Type, "%s is not static", filepath.Base(file))
	}
}

// command runs the image's program in the image's root, as the image's user. Without
// the rights of root it does so in a user namespace.
func (i *image) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	uid, gid := i.ids(t)
	require.NotZero(t, uid, "the image's user is root")
	cmd := exec.CommandContext(t.Context(), i.entrypoint[0], slices.Concat(i.entrypoint[1:], args)...)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot: i.root, Cloneflags: syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: os.Getgid(), Size: 1}},
		}
	}
	return cmd
}

// ids reads USER, which must be numbers: runAsNonRoot cannot check a name.
func (i *image) ids(t *testing.T) (uid, gid int) {
	t.Helper()
	user, group, _ := strings.Cut(i.user, ":")
	uid, err := strconv.Atoi(user)
	require.NoError(t, err, "USER %s", i.user)
	gid, err = strconv.Atoi(group)
	require.NoError(t, err, "USER %s", i.user)
	return uid, gid
}

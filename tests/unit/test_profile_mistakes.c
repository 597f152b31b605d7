/*
 * Every kind of mistake in a profile, with the exact words that the user gets.
 * THREATS.md A10 (values that look like options or ids) and A11 (hostile bytes).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/lines.h"
#include "conf/lists.h"
#include "conf/profile.h"

struct mistake {
	const char *text;
	const char *msg;
	const char *hint; /* "" none */
};

#define HEX8 "01234567"
#define HEX64 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8
#define UPPER64 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 "0123456F"
#define NAME_HINT "a name is of letters, digits and '_', and does not begin with a digit"
#define HUB(x)                                                                          \
	"write host, dir:PATH, tar:PATH, oci:PATH, layer:DIGEST, or an image with its " \
	"registry, such as docker.io/library/" x
#define PART_HINT \
	"an image's name is of lower-case letters, digits and single '.', '_' or '-' between them"
#define INSIDE_HINT \
	"write HOST-PATH = /PATH/INSIDE, and a host path that holds '=' or ' ;' in double quotes"
#define NAME_RULE                                                                             \
	"it must be of letters, digits, '.', '_' and '-', begin with a letter or digit, and " \
	"have at most 63 bytes"

static const struct mistake mistakes[] = {
	{"[netwrok]\nmode = none", "sbx.ini:1: there is no section [netwrok]",
	 "did you mean [network]?"},
	{"[Network]\nmode = none", "sbx.ini:1: there is no section [Network]",
	 "did you mean [network]?"},
	{"[zzz]", "sbx.ini:1: there is no section [zzz]",
	 "the sections are profile, base, user, env, mounts, network, limits, security, share, build, commit, sandbox"},
	{"[]", "sbx.ini:1: there is no section []",
	 "the sections are profile, base, user, env, mounts, network, limits, security, share, build, commit, sandbox"},
	{"[ base ]", "sbx.ini:1: there is no section [ base ]", "did you mean [base]?"},
	{"[base\nimage = host", "sbx.ini:1: a section's name ends with ']'", ""},
	{"[base] image = host", "sbx.ini:1: nothing may follow the ']' of a section",
	 "write the key on a line of its own"},
	{"[base ;x]", "sbx.ini:1: a section's name ends with ']'", ""},
	{"[base]\n[base]", "sbx.ini:2: the section [base] is given twice (first in line 1)",
	 "put its keys under the one in line 1"},
	{"[network]\n[user]\nas = root\n[network]",
	 "sbx.ini:4: the section [network] is given twice (first in line 1)",
	 "put its keys under the one in line 1"},
	{"mode = none", "sbx.ini:1: the key 'mode' stands before any section",
	 "'mode' belongs in [network]"},
	{"zzz = none", "sbx.ini:1: the key 'zzz' stands before any section",
	 "begin with a section, such as [network]"},
	{"[network]\nmod = none", "sbx.ini:2: there is no key 'mod' in [network]",
	 "did you mean 'mode'?"},
	{"[network]\nMODE = none", "sbx.ini:2: there is no key 'MODE' in [network]",
	 "did you mean 'mode'?"},
	{"[network]\nmemory = 4G", "sbx.ini:2: there is no key 'memory' in [network]",
	 "'memory' belongs in [limits]"},
	{"[network]\nset.A = 1", "sbx.ini:2: there is no key 'set.A' in [network]",
	 "'set.A' belongs in [env]"},
	{"[network]\nmemry = 4G", "sbx.ini:2: there is no key 'memry' in [network]",
	 "did you mean 'memory' in [limits]?"},
	{"[network]\nimagine = 4", "sbx.ini:2: there is no key 'imagine' in [network]",
	 "did you mean 'image' in [base]?"},
	{"[network]\nxyzzy-plugh = 4", "sbx.ini:2: there is no key 'xyzzy-plugh' in [network]",
	 "the keys of [network] are mode, driver, ports"},
	{"[env]\nFOO = 1", "sbx.ini:2: there is no key 'FOO' in [env]", "did you mean 'set.FOO'?"},
	{"[user]\nas = self\nas = root", "sbx.ini:3: the key 'as' is given twice (first in line 2)",
	 ""},
	{"[network]\nmode", "sbx.ini:2: this is neither 'key = value' nor '[section]'", ""},
	{"[network]\nmode: none", "sbx.ini:2: this is neither 'key = value' nor '[section]'", ""},
	{"[network]\n= none", "sbx.ini:2: there is no key before '='", ""},
	{"[network]\nmode =", "sbx.ini:2: the key 'mode' has no value", ""},
	{"[network]\nmode = ; none", "sbx.ini:2: the key 'mode' has no value", ""},
	{"[network]\nmode = slrp",
	 "sbx.ini:2: bad value 'slrp' of 'mode': it must be one of slirp, none, host",
	 "did you mean 'slirp'?"},
	{"[network]\nmode = bridge",
	 "sbx.ini:2: bad value 'bridge' of 'mode': it must be one of slirp, none, host", ""},
	{"[network]\nmode = none host",
	 "sbx.ini:2: bad value 'none host' of 'mode': it must be one of slirp, none, host", ""},
	{"[network]\ndriver = pasata",
	 "sbx.ini:2: bad value 'pasata' of 'driver': it must be one of auto, slirp4netns, pasta",
	 "did you mean 'pasta'?"},
	{"[security]\nseccomp = on",
	 "sbx.ini:2: bad value 'on' of 'seccomp': it must be one of default, strict, off", ""},
	{"[share]\nssh = yes", "sbx.ini:2: there is no key 'ssh' in [share]",
	 "the keys of [share] are ssh-agent, git, wayland, x11, gpu"},
	{"[share]\ngpu = all", "sbx.ini:2: bad value 'all' of 'gpu': it must be yes or no", ""},
	{"[security]\nnested = maybe",
	 "sbx.ini:2: bad value 'maybe' of 'nested': it must be yes or no", ""},
	{"[security]\nnested = yess",
	 "sbx.ini:2: bad value 'yess' of 'nested': it must be yes or no", "did you mean 'yes'?"},
	{"[limits]\nbest-effort = 1",
	 "sbx.ini:2: bad value '1' of 'best-effort': it must be yes or no", ""},
	{"[user]\nas = 0x0", "sbx.ini:2: bad value '0x0' of 'as': it must be one of self, root",
	 ""},
	{"[user]\nas = -1", "sbx.ini:2: bad value '-1' of 'as': it must be one of self, root", ""},
	{"[user]\nas = 4294967295",
	 "sbx.ini:2: bad value '4294967295' of 'as': it must be one of self, root", ""},
	{"[user]\nas = rot", "sbx.ini:2: bad value 'rot' of 'as': it must be one of self, root",
	 "did you mean 'root'?"},
	{"[limits]\nmemory = 4X",
	 "sbx.ini:2: bad value '4X' of 'memory': it must be a size, such as 512M or 4G", ""},
	{"[limits]\nmemory = -4G",
	 "sbx.ini:2: bad value '-4G' of 'memory': it must be a size, such as 512M or 4G", ""},
	{"[limits]\nmemory = 4", "sbx.ini:2: bad value '4' of 'memory': it is less than 1M",
	 "a size without a unit counts bytes: write 512M or 4G"},
	{"[limits]\nmemory = 99999999999999T",
	 "sbx.ini:2: bad value '99999999999999T' of 'memory': it must be a size, such as 512M or 4G",
	 ""},
	{"[limits]\ncpus = two",
	 "sbx.ini:2: bad value 'two' of 'cpus': it must be a number of CPUs, such as 2 or 0.5", ""},
	{"[limits]\ncpus = 0",
	 "sbx.ini:2: bad value '0' of 'cpus': it must be a number of CPUs, such as 2 or 0.5", ""},
	{"[limits]\ncpus = 9000",
	 "sbx.ini:2: bad value '9000' of 'cpus': it must be a number of CPUs, such as 2 or 0.5",
	 ""},
	{"[limits]\ncpus = 1e3",
	 "sbx.ini:2: bad value '1e3' of 'cpus': it must be a number of CPUs, such as 2 or 0.5", ""},
	{"[limits]\npids = 0",
	 "sbx.ini:2: bad value '0' of 'pids': it must be a number from 1 to 4194304", ""},
	{"[limits]\npids = 5000000",
	 "sbx.ini:2: bad value '5000000' of 'pids': it must be a number from 1 to 4194304", ""},
	{"[limits]\npids = 0x10",
	 "sbx.ini:2: bad value '0x10' of 'pids': it must be a number from 1 to 4194304", ""},
	{"[sandbox]\nlinger = soon",
	 "sbx.ini:2: bad value 'soon' of 'linger': it must be a time, such as 30s, 10m or 1h", ""},
	{"[sandbox]\nlinger = 366d",
	 "sbx.ini:2: bad value '366d' of 'linger': it is more than 365 days", ""},
	{"[sandbox]\nlinger = -1s",
	 "sbx.ini:2: bad value '-1s' of 'linger': it must be a time, such as 30s, 10m or 1h", ""},
	{"[profile]\nname = ../x", "sbx.ini:2: bad value '../x' of 'name': " NAME_RULE, ""},
	{"[profile]\nname = -u", "sbx.ini:2: bad value '-u' of 'name': " NAME_RULE, ""},
	{"[profile]\nname = a b", "sbx.ini:2: bad value 'a b' of 'name': " NAME_RULE, ""},
	{"[profile]\nextends = ../../etc/passwd",
	 "sbx.ini:2: bad value '../../etc/passwd' of 'extends': " NAME_RULE, ""},
	{"[profile]\nextends = jupyterr",
	 "sbx.ini:2: cannot extend 'jupyterr': there is no profile 'jupyterr'",
	 "see `sbx profile list`"},
	{"[base]\nimage = hots", "sbx.ini:2: bad value 'hots' of 'image': it names no registry",
	 "did you mean 'host'?"},
	{"[base]\nimage = debian", "sbx.ini:2: bad value 'debian' of 'image': it names no registry",
	 HUB("debian")},
	{"[base]\nimage = --bind=/",
	 "sbx.ini:2: bad value '--bind=/' of 'image': it names no registry", HUB("debian:12")},
	{"[base]\nimage = library/x",
	 "sbx.ini:2: bad value 'library/x' of 'image': it names no registry", HUB("x")},
	{"[base]\nimage = ./x",
	 "sbx.ini:2: bad value './x' of 'image': '.' is not a registry's name", HUB("debian:12")},
	{"[base]\nimage = dir:",
	 "sbx.ini:2: bad value 'dir:' of 'image': there is no path behind the ':'", ""},
	{"[base]\nimage = layer:abc",
	 "sbx.ini:2: bad value 'layer:abc' of 'image': a layer's digest is of 64 lower-case hexadecimal digits",
	 ""},
	{"[base]\nimage = layer:" UPPER64 "",
	 "sbx.ini:2: bad value 'layer:" UPPER64
	 "' of 'image': a layer's digest is of 64 lower-case hexadecimal digits",
	 ""},
	{"[base]\nimage = registry.example/Debian",
	 "sbx.ini:2: bad value 'registry.example/Debian' of 'image': 'Debian' cannot be part of an image's name",
	 PART_HINT},
	{"[base]\nimage = registry.example/a//b",
	 "sbx.ini:2: bad value 'registry.example/a//b' of 'image': '' cannot be part of an image's name",
	 PART_HINT},
	{"[base]\nimage = registry.example/a:b:c",
	 "sbx.ini:2: bad value 'registry.example/a:b:c' of 'image': 'b:c' is not a tag", ""},
	{"[base]\nimage = registry.example/a..b",
	 "sbx.ini:2: bad value 'registry.example/a..b' of 'image': 'a..b' cannot be part of an image's name",
	 PART_HINT},
	{"[base]\nimage = registry.example/a:",
	 "sbx.ini:2: bad value 'registry.example/a:' of 'image': '' is not a tag", ""},
	{"[base]\nimage = registry.example/a@sha512:00",
	 "sbx.ini:2: bad value 'registry.example/a@sha512:00' of 'image': 'sha512:00' is not sha256: and 64 lower-case hexadecimal digits",
	 ""},
	{"[base]\nimage = registry.example/a@sha256:../../x",
	 "sbx.ini:2: bad value 'registry.example/a@sha256:../../x' of 'image': 'sha256:../../x' is not sha256: and 64 lower-case hexadecimal digits",
	 ""},
	{"[base]\nimage = registry.example:99999/a",
	 "sbx.ini:2: bad value 'registry.example:99999/a' of 'image': '99999' is not a port", ""},
	{"[base]\nimage = registry..example/a",
	 "sbx.ini:2: bad value 'registry..example/a' of 'image': 'registry..example' is not a registry's name",
	 HUB("debian:12")},
	{"[base]\nimage = https://registry.example/a",
	 "sbx.ini:2: bad value 'https://registry.example/a' of 'image': it is an address of the web, not an image's name",
	 "leave out what stands before the registry's name"},
	{"[env]\npass = A-B",
	 "sbx.ini:2: bad value 'A-B' of 'pass': 'A-B' is not a variable's name", NAME_HINT},
	{"[env]\npass = LANG 1X",
	 "sbx.ini:2: bad value 'LANG 1X' of 'pass': '1X' is not a variable's name", NAME_HINT},
	{"[env]\npass = A=B",
	 "sbx.ini:2: bad value 'A=B' of 'pass': 'A=B' is not a variable's name", NAME_HINT},
	{"[env]\npass = LANG TERM LANG",
	 "sbx.ini:2: bad value 'LANG TERM LANG' of 'pass': the variable 'LANG' is given twice (first in line 2)",
	 ""},
	{"[env]\nset.A B = 1",
	 "sbx.ini:2: bad value '1' of 'set.A B': 'A B' is not a variable's name", NAME_HINT},
	{"[env]\nset. = 1", "sbx.ini:2: bad value '1' of 'set.': '' is not a variable's name",
	 NAME_HINT},
	{"[env]\nset.A = 1\nset.A = 2",
	 "sbx.ini:3: bad value '2' of 'set.A': the variable 'A' is given twice (first in line 2)",
	 ""},
	{"[env]\npass = A\nset.A = 2",
	 "sbx.ini:3: bad value '2' of 'set.A': the variable 'A' is given twice (first in line 2)",
	 ""},
	{"[env]\nset.A =", "sbx.ini:2: the key 'set.A' has no value", ""},
	{"[mounts]\ndata = data",
	 "sbx.ini:2: bad value 'data' of 'data': the path inside, 'data', must be absolute",
	 INSIDE_HINT},
	{"[mounts]\n~/a:b = c",
	 "sbx.ini:2: bad value 'c' of '~/a:b': the path inside, 'c', must be absolute",
	 INSIDE_HINT},
	{"[mounts]\n/a=b = /c",
	 "sbx.ini:2: bad value 'b = /c' of '/a': the path inside, 'b = /c', must be absolute",
	 INSIDE_HINT},
	{"[mounts]\ndata = /a/../b",
	 "sbx.ini:2: bad value '/a/../b' of 'data': the path inside, '/a/../b', must not hold '..'",
	 ""},
	{"[mounts]\ndata = /",
	 "sbx.ini:2: bad value '/' of 'data': the whole root cannot be covered",
	 "to use a folder as the root, write image = dir:PATH under [base]"},
	{"[mounts]\ndata = //.",
	 "sbx.ini:2: bad value '//.' of 'data': the whole root cannot be covered",
	 "to use a folder as the root, write image = dir:PATH under [base]"},
	{"[mounts]\ndata = /:rw",
	 "sbx.ini:2: bad value '/:rw' of 'data': the whole root cannot be covered",
	 "to use a folder as the root, write image = dir:PATH under [base]"},
	{"[mounts]\ndata = /proc",
	 "sbx.ini:2: bad value '/proc' of 'data': '/proc' is made by sbx itself", ""},
	{"[mounts]\ndata = /proc/sys",
	 "sbx.ini:2: bad value '/proc/sys' of 'data': '/proc/sys' is in '/proc', which sbx makes itself",
	 ""},
	{"[mounts]\ndata = /dev/shm",
	 "sbx.ini:2: bad value '/dev/shm' of 'data': '/dev/shm' is in '/dev', which sbx makes itself",
	 ""},
	{"[mounts]\ndata = /sys",
	 "sbx.ini:2: bad value '/sys' of 'data': '/sys' is made by sbx itself", ""},
	{"[mounts]\ndata = /run",
	 "sbx.ini:2: bad value '/run' of 'data': '/run' would cover '/run/sbx', which sbx makes itself",
	 ""},
	{"[mounts]\ndata = /run/sbx/bin",
	 "sbx.ini:2: bad value '/run/sbx/bin' of 'data': '/run/sbx/bin' is in '/run/sbx', which sbx makes itself",
	 ""},
	{"[mounts]\ndata = /x:rx", "sbx.ini:2: bad value '/x:rx' of 'data': 'rx' is not a mode",
	 "write :ro or :rw behind the path, or nothing for :ro"},
	{"[mounts]\ndata = /x:ro,rw",
	 "sbx.ini:2: bad value '/x:ro,rw' of 'data': 'ro,rw' is not a mode",
	 "write :ro or :rw behind the path, or nothing for :ro"},
	{"[mounts]\n\"\" = /x",
	 "sbx.ini:2: bad value '/x' of '': there is no path of the host before '='", ""},
	{"[mounts]\n\"a = /x", "sbx.ini:2: the quote that begins the key is not closed", ""},
	{"[mounts]\n\"a\" b = /x", "sbx.ini:2: only '=' may follow a key in quotes", ""},
	{"[mounts]\n~root/x = /x",
	 "sbx.ini:2: bad value '/x' of '~root/x': '~root/x' is another user's home, or a name",
	 "only ~ and ~/… are expanded; for a file of that name write ./~root/x"},
	{"[mounts]\na = /x\nb = /x/",
	 "sbx.ini:3: bad value '/x/' of 'b': the path inside, '/x', is given twice (first in line 2)",
	 ""},
	{"[mounts]\na ;b = /x", "sbx.ini:2: this is neither 'key = value' nor '[section]'", ""},
	{"[network]\nports = 0",
	 "sbx.ini:2: bad value '0' of 'ports': '0' is not a port: a number from 1 to 65535", ""},
	{"[network]\nports = 65536",
	 "sbx.ini:2: bad value '65536' of 'ports': '65536' is not a port: a number from 1 to 65535",
	 ""},
	{"[network]\nports = 80:0",
	 "sbx.ini:2: bad value '80:0' of 'ports': '0' is not a port: a number from 1 to 65535", ""},
	{"[network]\nports = 80:90:100",
	 "sbx.ini:2: bad value '80:90:100' of 'ports': '90:100' is not a port: a number from 1 to 65535",
	 ""},
	{"[network]\nports = http",
	 "sbx.ini:2: bad value 'http' of 'ports': 'http' is not a port: a number from 1 to 65535",
	 ""},
	{"[network]\nports = 80 , 80",
	 "sbx.ini:2: bad value '80 , 80' of 'ports': the port 80 is given twice (first in line 2)",
	 ""},
	{"[network]\nports = 80\nports = 80:81",
	 "sbx.ini:3: bad value '80:81' of 'ports': the port 80 is given twice (first in line 2)",
	 ""},
	{"[network]\nports = 0.0.0.0:80 80",
	 "sbx.ini:2: bad value '0.0.0.0:80 80' of 'ports': the port 80 is given twice (first in line 2)",
	 ""},
	{"[network]\nports = 1.2.3:80",
	 "sbx.ini:2: bad value '1.2.3:80' of 'ports': '1.2.3' is not an address",
	 "write a numeric address such as 127.0.0.1:8888 or [::1]:8888"},
	{"[network]\nports = localhost:80",
	 "sbx.ini:2: bad value 'localhost:80' of 'ports': 'localhost' is not an address",
	 "write a numeric address such as 127.0.0.1:8888 or [::1]:8888"},
	{"[network]\nports = [::1]80",
	 "sbx.ini:2: bad value '[::1]80' of 'ports': '[::1]80' is not [ADDRESS:]PORT[:PORT-INSIDE][/udp]",
	 ""},
	{"[network]\nports = [::1:80",
	 "sbx.ini:2: bad value '[::1:80' of 'ports': '[::1:80' is not [ADDRESS:]PORT[:PORT-INSIDE][/udp]",
	 ""},
	{"[network]\nports = [zz]:80",
	 "sbx.ini:2: bad value '[zz]:80' of 'ports': 'zz' is not an address",
	 "write a numeric address such as 127.0.0.1:8888 or [::1]:8888"},
	{"[network]\nports = 127.0.0.1",
	 "sbx.ini:2: bad value '127.0.0.1' of 'ports': '127.0.0.1' is not a port: a number from 1 to 65535",
	 ""},
	{"[build]\nrun = cd x ; make",
	 "sbx.ini:2: ' ;' begins a comment, so 'run' would be cut to 'cd x'",
	 "write ';' without a blank before it, '&&', or the comment on a line of its own"},
	{"[build]\ncopy = x",
	 "sbx.ini:2: bad value 'x' of 'copy': it needs what is copied, and where to", ""},
	{"[build]\ncopy = --parents x y",
	 "sbx.ini:2: bad value '--parents x y' of 'copy': COPY --parents is not supported", ""},
	{"[build]\nenv = A", "sbx.ini:2: bad value 'A' of 'env': 'A' is not NAME=VALUE", ""},
	{"[build]\nworkdir = /x ; y",
	 "sbx.ini:2: ' ;' begins a comment, so 'workdir' would be cut to '/x'",
	 "write ';' without a blank before it, '&&', or the comment on a line of its own"},
	{"[build]\nuser = x", "sbx.ini:2: there is no key 'user' in [build]",
	 "the keys of [build] are run, copy, env, workdir"},
	{"[commit]\nexclude = !x",
	 "sbx.ini:2: bad value '!x' of 'exclude': a pattern that takes another one back, '!', is not to be had",
	 "for a name that begins with '!' write \\!x"},
	{"[commit]\nexclude = //",
	 "sbx.ini:2: bad value '//' of 'exclude': the whole root cannot be left out", ""},
	{"[commit]\nexclude = a//b",
	 "sbx.ini:2: bad value 'a//b' of 'exclude': '//', '.' and '..' match nothing",
	 "write the path from the root, such as /var/log/, or a name"},
	{"[commit]\nexclude = ./x",
	 "sbx.ini:2: bad value './x' of 'exclude': '//', '.' and '..' match nothing",
	 "write the path from the root, such as /var/log/, or a name"},
	{"[commit]\nexclude = /a/./x",
	 "sbx.ini:2: bad value '/a/./x' of 'exclude': '//', '.' and '..' match nothing",
	 "write the path from the root, such as /var/log/, or a name"},
	{"[commit]\nexclude = /a/../x",
	 "sbx.ini:2: bad value '/a/../x' of 'exclude': '//', '.' and '..' match nothing",
	 "write the path from the root, such as /var/log/, or a name"},
	{"[commit]\nexclude = a\nexclude = b\nexclude = a",
	 "sbx.ini:4: bad value 'a' of 'exclude': the pattern is given twice (first in line 2)", ""},
	{"[base]\015\nimage = host\015\n",
	 "sbx.ini:1: a carriage return is not allowed in a profile",
	 "take the DOS line ends out: sed -i 's/\\r$//' FILE"},
	{"[user]\nas = self\033[2Kroot",
	 "sbx.ini:2: the control character U+001B is not allowed in a profile", ""},
	{"[user]\nas = ro\342\200\256ot",
	 "sbx.ini:2: the invisible character U+202E is not allowed in a profile", ""},
	{"[user]\nas = ro\377ot", "sbx.ini:2: the byte 0xff is not UTF-8", ""},
	{"[user]\nas = ro\300\257ot", "sbx.ini:2: the byte 0xc0 is not UTF-8", ""},
	{"[user]\nas = ro\355\240\200ot", "sbx.ini:2: the byte 0xed is not UTF-8", ""},
	{"[user]\n; \302\23331m",
	 "sbx.ini:2: the control character U+009B is not allowed in a profile", ""},
	{"[user]\n# \177", "sbx.ini:2: the control character U+007F is not allowed in a profile",
	 ""},
	{"\357\273\277\357\273\277[user]",
	 "sbx.ini:1: the invisible character U+FEFF is not allowed in a profile", ""},
};

static int no_profiles(void *ctx, struct arena *a, const char *name, struct profile_source *ret,
		       struct err *err)
{
	(void)ctx;
	(void)a;
	(void)ret;
	err_set(err, "there is no profile '%s'", name);
	return err_hint(err, "see `sbx profile list`");
}

static int parse(struct arena *a, const char *text, size_t len, struct err *err)
{
	struct profile_source src = {.file = "sbx.ini", .text = text, .len = len};
	const struct profile *p = NULL;
	int r = profile_parse(a, &src, no_profiles, NULL, &p, err);

	assert_true(r == 0 ? p != NULL : p == NULL);
	return r;
}

static void check(const char *text, size_t len, const char *msg, const char *hint)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct err err = {0};

	if (parse(a, text, len, &err) == 0)
		fail_msg("no error for:\n%s", text);
	assert_string_equal(err.msg, msg);
	assert_string_equal(err.hint, hint);
	assert_int_equal(err.kind, ERR_FAILED);
}

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		check(mistakes[i].text, strlen(mistakes[i].text), mistakes[i].msg,
		      mistakes[i].hint);
	assert_true(sizeof(mistakes) / sizeof(mistakes[0]) >= 40);
}

static void test_nul(void **state)
{
	static const char text[] = "[user]\nas = self\0root\n";

	(void)state;
	check(text, sizeof(text) - 1, "sbx.ini:2: a NUL byte is not allowed in a profile", "");
}

static void test_long_line(void **state)
{
	_cleanup_buf_ struct buf text = {0};

	(void)state;
	buf_adds(&text, "[build]\nrun = ");
	for (int i = 0; i < 1 << 17; i++)
		buf_adds(&text, "x");
	check(text.p, text.len, "sbx.ini:2: the line is longer than 4096 bytes", "");
}

static void test_long_key(void **state)
{
	_cleanup_buf_ struct buf text = {0};

	(void)state;
	buf_adds(&text, "[mounts]\n");
	for (int i = 0; i < 300; i++)
		buf_adds(&text, "k");
	buf_adds(&text, " = /x\n");
	check(text.p, text.len, "sbx.ini:2: the key is too long", "");
}

static void test_many_blanks(void **state)
{
	_cleanup_buf_ struct buf text = {0};

	(void)state;
	buf_printf(&text, "[build]\nrun = a%*sb\n", 900, "");
	check(text.p, text.len, "sbx.ini:2: there are too many blanks in a row", "");
}

static void test_large_text(void **state)
{
	_cleanup_buf_ struct buf text = {0};

	(void)state;
	while (text.len <= LINES_MAX_TEXT)
		buf_adds(&text, "; a comment\n");
	check(text.p, text.len, "sbx.ini: the profile is larger than 256 KiB", "");
}

/* A list that is too long is refused in each of the four lists. */
static void test_too_many(void **state)
{
	static const struct {
		const char *head;
		const char *line; /* with a place for a number */
		const char *shown;
	} lists[] = {
		{"[env]\n", "pass = V%d\n", "'V1024' of 'pass'"},
		{"[mounts]\n", "a = /m%d\n", "'/m1024' of 'a'"},
		{"[network]\n", "ports = 1%04d\n", "'11024' of 'ports'"},
		{"[build]\n", "run = echo %d\n", "'echo 1024' of 'run'"},
		{"[commit]\n", "exclude = x%d\n", "'x1024' of 'exclude'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		_cleanup_buf_ struct buf text = {0};
		_cleanup_buf_ struct buf msg = {0};
		char line[64];

		buf_adds(&text, lists[i].head);
		for (int n = 0; n <= LISTS_MAX; n++) {
			const char *at = strchr(lists[i].line, '%');

			(void)snprintf(line, sizeof(line),
				       strncmp(at, "%04d", 4) == 0 ? "%04d" : "%d", n);
			buf_add(&text, lists[i].line, (size_t)(at - lists[i].line));
			buf_adds(&text, line);
			buf_adds(&text, "\n");
		}
		buf_printf(&msg, "sbx.ini:1026: bad value %s: there are more than 1024 of these",
			   lists[i].shown);
		check(text.p, text.len, msg.p, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),    cmocka_unit_test(test_nul),
		cmocka_unit_test(test_long_line),   cmocka_unit_test(test_long_key),
		cmocka_unit_test(test_many_blanks), cmocka_unit_test(test_large_text),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

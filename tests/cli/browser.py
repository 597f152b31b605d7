"""A headless Chromium, driven by WebDriver (W3C): JSON over HTTP, by the standard library alone."""

import http.client
import json
import os
import re
import subprocess
import time

import harness

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """`folder` gets the profile; a context, which ends the browser."""

    def __init__(self, folder, width=1100, height=760):
        driver = harness.need_program("chromedriver")
        harness.need_program("chromium")
        os.makedirs(folder, exist_ok=True)
        env = harness.environment(HOME=folder, XDG_CONFIG_HOME=folder, XDG_CACHE_HOME=folder, TMPDIR=folder,
                                  http_proxy=None, https_proxy=None)
        self.driver = subprocess.Popen([driver, "--port=0"], env=env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        self.session = None
        try:
            said = harness.read_until(self.driver.stdout, b"successfully", 30)
            if not re.search(rb"successfully.*\n", said):
                said += harness.read_until(self.driver.stdout, b"\n", 5)
            self.port = int(re.search(rb"successfully on port (\d+)", said).group(1))
            options = {"binary": "/usr/bin/chromium",
                       "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                                "--no-proxy-server", "--no-first-run", f"--window-size={width},{height}",
                                f"--user-data-dir={folder}/profile"]}
            self.session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": options}}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            c.request(method, path, json.dumps(body) if body is not None else None,
                      {"Content-Type": "application/json"})
            value = json.loads(c.getresponse().read())["value"]
        finally:
            c.close()
        if isinstance(value, dict) and "error" in value:
            raise harness.Failed(f"the browser: {value['error']}: {value['message'][:500]}")
        return value

    def of_session(self, method, path, body=None):
        return self.ask(method, f"/session/{self.session}{path}", body)

    def go(self, url):
        self.of_session("POST", "/url", {"url": url})

    def run(self, script, *args):
        return self.of_session("POST", "/execute/sync", {"script": script, "args": list(args)})

    def await_true(self, script, what, limit=60, saying=None):
        """Until the JavaScript gives something true; which is returned.  `saying`: what to tell where it does not."""
        end = time.monotonic() + limit
        while True:
            value = self.run(script)
            if value:
                return value
            if time.monotonic() > end:
                seen = self.run(saying) if saying else ""
                raise harness.Failed(f"waited {limit} s in the browser for {what}: {seen}")
            time.sleep(0.1)  # polls: WebDriver has no other way

    def screenshot(self):
        return self.of_session("GET", "/screenshot")

    def close(self):
        try:
            if self.session:
                self.ask("DELETE", f"/session/{self.session}")
        except (OSError, harness.Failed, http.client.HTTPException):
            pass
        finally:
            # The session is its own: this ends what of the browser is left.
            try:
                os.killpg(self.driver.pid, 9)
            except ProcessLookupError:
                pass
            self.driver.wait()
            self.driver.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()
        return False

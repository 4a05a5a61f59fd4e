# SPDX-License-Identifier: ISC
"""
browser.py PORT STEP...: a headless Chromium goes through the steps, by ChromeDriver on that port (the W3C's WebDriver).

  open URL       a page; the screen on it is waited for
  refused URL    a page without a screen, that says so
  picture FILE   what the page has of the screen, as PPM
  keys TEXT      typed into the screen, and Enter
  ready FILE     made once it has come so far
  wait FILE      until the file is there
"""
import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

PATIENCE = 150
CONNECTED = 'return document.documentElement.classList.contains("noVNC_connected")'
PICTURE = '''
const canvas = document.querySelector("#noVNC_container canvas");
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
let text = "";
for (let i = 0; i < data.length; i += 4)
    text += String.fromCharCode(data[i], data[i + 1], data[i + 2]);
return [canvas.width, canvas.height, btoa(text)];
'''


class Browser:
    def __init__(self, port):
        self.base = 'http://127.0.0.1:%s' % port
        self.driver = subprocess.Popen(['chromedriver', '--port=' + port], stdout=subprocess.DEVNULL)
        self.session = None

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {'Content-Type': 'application/json'}, method=method)
        try:
            return json.load(urllib.request.urlopen(request, timeout=PATIENCE))['value']
        except urllib.error.HTTPError as error:
            raise SystemExit('%s: %s' % (path, json.load(error)['value']['message'].split('\n')[0]))

    def begin(self):
        flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-proxy-server']
        until(lambda: self.ask('GET', '/status')['ready'])
        self.session = self.ask('POST', '/session', {'capabilities': {'alwaysMatch': {
            'acceptInsecureCerts': True, 'goog:chromeOptions': {'args': flags}}}})['sessionId']

    def do(self, path, body):
        return self.ask('POST', '/session/%s%s' % (self.session, path), body)

    def run(self, script):
        return self.do('/execute/sync', {'script': script, 'args': []})

    def still(self):
        """The picture, once all of it has come: it shows something, and is the same twice."""
        end = time.time() + PATIENCE
        before = None
        while True:
            now = self.run(PICTURE)
            if now == before and any(base64.b64decode(now[2])) or time.time() > end:
                return now
            before = now
            time.sleep(0.5)

    def keys(self, text):
        canvas = self.do('/element', {'using': 'css selector', 'value': '#noVNC_container canvas'})
        self.do('/element/%s/click' % list(canvas.values())[0], {})
        actions = []
        for key in text + '\ue007':
            actions += [{'type': 'keyDown', 'value': key}, {'type': 'pause', 'duration': 150},
                        {'type': 'keyUp', 'value': key}, {'type': 'pause', 'duration': 150}]
        self.do('/actions', {'actions': [{'type': 'key', 'id': 'keyboard', 'actions': actions}]})

    def end(self):
        try:
            if self.session:
                self.ask('DELETE', '/session/' + self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()


def until(true):
    end = time.time() + PATIENCE
    while True:
        try:
            if true():
                return
        except OSError:
            pass
        if time.time() > end:
            raise SystemExit('it took too long')
        time.sleep(0.2)


def step(browser, name, argument):
    if name == 'open':
        browser.do('/url', {'url': argument})
        until(lambda: browser.run(CONNECTED))
    elif name == 'refused':
        browser.do('/url', {'url': argument})
        text = browser.run('return document.body.innerText')
        print(text)
        if 'first browser' not in text:
            raise SystemExit('it is not refused')
    elif name == 'picture':
        width, height, data = browser.still()
        with open(argument, 'wb') as out:
            out.write(b'P6\n%d %d\n255\n' % (width, height) + base64.b64decode(data))
    elif name == 'keys':
        browser.keys(argument)
    elif name == 'ready':
        open(argument, 'w').close()
    elif name == 'wait':
        until(lambda: os.path.exists(argument))
    else:
        raise SystemExit('no such step: ' + name)


def main():
    browser = Browser(sys.argv[1])
    try:
        browser.begin()
        for name, argument in zip(sys.argv[2::2], sys.argv[3::2]):
            step(browser, name, argument)
    finally:
        browser.end()


main()

@echo off
rem SPDX-License-Identifier: ISC
rem For owners of VMs, on Windows: what may be done with them, from afar, by Windows' own OpenSSH alone.
rem The gate is where the VMs are, as ssh takes it: USER@HOST. It is asked for once and remembered.
rem
rem vnc and port listen here by a few lines of C# at the end of this file, which PowerShell compiles.
setlocal
set "MEMORY=%APPDATA%\vmf-owner.txt"
set "SSH=ssh.exe"
if exist "%SystemRoot%\System32\OpenSSH\ssh.exe" set "SSH=%SystemRoot%\System32\OpenSSH\ssh.exe"
if defined VMF_SSH set "SSH=%VMF_SSH%"
set "GATE=%VMF_GATE%"
if "%~1"=="-g" (
	set "GATE=%~2"
	shift
	shift
)
if "%~1"=="" goto usage
if "%~1"=="-h" goto usage
if "%~1"=="--help" goto usage
if not defined GATE if exist "%MEMORY%" set /p GATE=<"%MEMORY%"
if not defined GATE (
	set /p "GATE=Where are your VMs (USER@HOST)? "
	call :remember
)
if not defined GATE exit /b 2
if "%GATE:~0,1%"=="-" (
	echo vmf-owner: "%GATE%" is no USER@HOST 1>&2
	exit /b 2
)

set "VM=%~1"
if /i "%~2"=="vnc" goto vnc
if /i "%~2"=="port" goto port
if /i "%~2"=="ssh" goto guest
if /i "%~2"=="console" goto console
"%SSH%" -T "%GATE%" %1 %2 %3 %4 %5 %6 %7 %8 %9
exit /b %ERRORLEVEL%

:console
"%SSH%" -t "%GATE%" %1 %2 %3 %4 %5 %6 %7 %8 %9
exit /b %ERRORLEVEL%

:guest
set "GUESTUSER=%~3"
if "%~3"=="" set "GUESTUSER=%USERNAME%"
"%SSH%" -o "ProxyCommand=%SSH% -T %GATE% %VM% relay 22 --stdio" -o "HostKeyAlias=vmf-%VM%" -l "%GUESTUSER%" "%VM%" %4 %5 %6 %7 %8 %9
exit /b %ERRORLEVEL%

:vnc
set "WORDS=vnc --stdio"
set "PORT=%~3"
set "MANY=0"
if "%~3"=="" set "PORT=5900"
goto listen

:port
if "%~3"=="" goto usage
set "WORDS=relay %~3 --stdio"
set "PORT=%~4"
set "MANY=1"
if "%~4"=="" set "PORT=0"

:listen
set "SELF=%~f0"
powershell.exe -NoProfile -ExecutionPolicy Bypass -Command "$t = [IO.File]::ReadAllText($env:SELF); Add-Type -TypeDefinition $t.Substring($t.LastIndexOf('//C#')); exit [VmfOwner]::Listen($env:PORT, $env:MANY, $env:SSH, $env:GATE, $env:VM, $env:WORDS, $env:VMF_VIEWER)"
exit /b %ERRORLEVEL%

:remember
>"%MEMORY%" echo %GATE%
exit /b 0

:usage
echo usage: vmf-owner [-g GATE] list ^| quota ^| help
echo        vmf-owner [-g GATE] VM VERB...           start, stop, status, ...
echo        vmf-owner [-g GATE] VM console           its serial port; ^^] leaves
echo        vmf-owner [-g GATE] VM vnc [PORT]        its screen, in %%VMF_VIEWER%%, or for who comes to PORT first
echo        vmf-owner [-g GATE] VM ssh [USER]        into the guest, whose sshd listens on port 22
echo        vmf-owner [-g GATE] VM port GUEST-PORT [PORT]  a port of the guest, here, until ^^C
exit /b 2

//C#
using System;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using System.Threading;

public static class VmfOwner
{
	// What comes is passed on at once: a VNC client waits for each answer.
	static void Copy(Stream from, Stream to)
	{
		byte[] buffer = new byte[65536];
		int n;

		try {
			while ((n = from.Read(buffer, 0, buffer.Length)) > 0) {
				to.Write(buffer, 0, n);
				to.Flush();
			}
		} catch (IOException) {
		} catch (ObjectDisposedException) {
		}
	}

	static void Serve(TcpClient client, ProcessStartInfo how)
	{
		using (client)
		using (Process ssh = Process.Start(how)) {
			NetworkStream stream = client.GetStream();
			Thread up = new Thread(delegate() {
				Copy(stream, ssh.StandardInput.BaseStream);
				try {
					ssh.StandardInput.Close();
				} catch (IOException) {
				}
			});

			client.NoDelay = true;
			up.IsBackground = true;
			up.Start();
			Copy(ssh.StandardOutput.BaseStream, stream);
			client.Close();
			ssh.WaitForExit(5000);
		}
	}

	public static int Listen(string port, string many, string program, string gate, string vm, string words, string viewer)
	{
		int number;

		if (!int.TryParse(port, out number) || number < 0 || number > 65535 ||
			!Regex.IsMatch(gate, "^[A-Za-z0-9@.:_%][A-Za-z0-9@.:_%-]*$") || !Regex.IsMatch(vm, "^[A-Za-z0-9][A-Za-z0-9._-]*$") ||
			!Regex.IsMatch(words, "^(vnc|relay [0-9]{1,5}) --stdio$")) {
			Console.Error.WriteLine("vmf-owner: no such port, gate or VM");
			return 2;
		}

		ProcessStartInfo how = new ProcessStartInfo(program, "-T " + gate + " " + vm + " " + words);
		TcpListener listener = new TcpListener(IPAddress.Loopback, number);

		how.UseShellExecute = false;
		how.RedirectStandardInput = true;
		how.RedirectStandardOutput = true;
		try {
			listener.Start();
		} catch (SocketException e) {
			Console.Error.WriteLine("vmf-owner: cannot listen on port " + port + ": " + e.Message);
			return 1;
		}
		number = ((IPEndPoint)listener.LocalEndpoint).Port;
		Console.Error.WriteLine("vmf-owner: 127.0.0.1:" + number);
		if (!string.IsNullOrEmpty(viewer))
			Process.Start(viewer, "127.0.0.1::" + number);
		if (many == "0") {
			TcpClient client = listener.AcceptTcpClient();

			listener.Stop();
			Serve(client, how);
			return 0;
		}
		for (;;) {
			TcpClient client = listener.AcceptTcpClient();
			Thread thread = new Thread(delegate() { Serve(client, how); });

			thread.IsBackground = true;
			thread.Start();
		}
	}
}

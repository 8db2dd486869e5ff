// Malicious samples that are no programs: not looked for in executables.
// Each rule has `level`, `title` and `reference`; its samples are beside the tests. docs/rule-packs.md tells more.

rule miner_settings
{
    meta:
        level = "HIGH"
        title = "Settings or start of a cryptocurrency miner"
        reference = "https://attack.mitre.org/techniques/T1496/"
    strings:
        $pool = /stratum\+(tcp|ssl|tls):\/\/[a-z0-9.-]{4,60}:[0-9]{2,5}/
        $host = /(supportxmr|minexmr|hashvault|2miners|moneroocean|nanopool|herominers|c3pool)\.[a-z.]{2,20}:[0-9]{2,5}/
        $user = /(--user[ =]|"user"\s{0,4}:\s{0,4}"|wallet["']?\s{0,4}[:=]\s{0,4}["']?)[48][0-9AB][1-9A-HJ-NP-Za-km-z]{90}/
        $level = /donate-level["']?[ =:]/
        $rig = /"rig-id"|"randomx"\s{0,4}:/
    condition:
        filesize < 1MB and uint32(0) != 0x464c457f and
        (($pool and ($user or $level)) or ($host and ($user or $level)) or ($level and $rig and $user))
}

rule webshell_php
{
    meta:
        level = "CRITICAL"
        title = "Web shell in PHP"
        reference = "https://attack.mitre.org/techniques/T1505/003/"
    strings:
        $a = /\b([eE][vV][aA][lL]|[aA][sS][sS][eE][rR][tT])\s{0,4}\(\s{0,4}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[/
        $b = /\b(system|shell_exec|passthru|exec|popen|proc_open)\s{0,4}\(\s{0,4}@?\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[/
        $c = /\b([eE][vV][aA][lL])\s{0,4}\(\s{0,4}(gzinflate|gzuncompress|str_rot13)\s{0,4}\(\s{0,4}(base64_decode|str_rot13)\s{0,4}\(/
        $d = /\b([eE][vV][aA][lL])\s{0,4}\(\s{0,4}base64_decode\s{0,4}\(\s{0,4}\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[/
        $e = /\$_(GET|POST|REQUEST|COOKIE)\s{0,4}\[[^\]]{1,30}\]\s{0,4}\(\s{0,4}\$_(GET|POST|REQUEST|COOKIE)/
        $f = /\bpreg_replace\s{0,4}\(\s{0,4}["']\/[^"']{0,40}\/e["']\s{0,4},\s{0,4}\$_(GET|POST|REQUEST|COOKIE)/
    condition:
        filesize < 2MB and any of them
}

rule webshell_php_known
{
    meta:
        level = "CRITICAL"
        title = "Known web shell in PHP"
        reference = "https://attack.mitre.org/techniques/T1505/003/"
    strings:
        $a = /b374k (shell|[0-9]\.)/
        $b = "c99shell"
        $c = "r57shell"
        $d = "WSO_VERSION"
        $e = "$default_action = 'FilesMan'"
        $php = "<?php"
        $sink1 = "eval("
        $sink2 = "shell_exec("
        $sink3 = "passthru("
        $sink4 = "proc_open("
    condition:
        filesize < 2MB and $php and any of ($sink*) and any of ($a, $b, $c, $d, $e)
}

rule webshell_jsp
{
    meta:
        level = "CRITICAL"
        title = "Web shell in JSP"
        reference = "https://attack.mitre.org/techniques/T1505/003/"
    strings:
        $jsp1 = "<%@page"
        $jsp2 = "<%@ page"
        $jsp3 = "<jsp:"
        $jsp4 = "java.lang.Runtime"
        $jsp5 = "out.print"
        $run = /getRuntime\s{0,4}\(\s{0,4}\)\s{0,4}\.\s{0,4}exec\s{0,4}\(\s{0,4}[^;]{0,60}request\s{0,4}\.\s{0,4}getParameter/
        $read = /request\s{0,4}\.\s{0,4}getParameter\s{0,4}\(/
        $exec = /getRuntime\s{0,4}\(\s{0,4}\)\s{0,4}\.\s{0,4}exec\s{0,4}\(|new\s{1,4}ProcessBuilder\s{0,4}\(/
        $class = /extends\s{1,4}ClassLoader/
        $define = /defineClass\s{0,4}\(/
        $aes = /Cipher\s{0,4}\.\s{0,4}getInstance\s{0,4}\(\s{0,4}"AES/
    condition:
        filesize < 1MB and any of ($jsp*) and ($run or ($read and $exec) or ($class and $define and ($aes or $read)))
}

rule webshell_asp
{
    meta:
        level = "CRITICAL"
        title = "Web shell in ASP"
        reference = "https://attack.mitre.org/techniques/T1505/003/"
    strings:
        $a = /<%\s{0,4}@?\s{0,4}(eval|execute|executeglobal)\s{0,4}\(?\s{0,4}request\s{0,4}[(.\[]/i
        $b = /\beval\s{0,4}\(\s{0,4}Request\s{0,4}\.\s{0,4}(Item|Form|QueryString)?\s{0,4}\[[^\]]{1,40}\]\s{0,4},\s{0,4}"unsafe"/i
        $c = /<%@\s{0,4}Page\s[^>]{0,80}Jscript/i
        $d = /\beval\s{0,4}\(\s{0,4}Request/i
    condition:
        filesize < 1MB and ($a or $b or ($c and $d))
}

rule reverse_shell
{
    meta:
        level = "CRITICAL"
        title = "Reverse shell"
        reference = "https://attack.mitre.org/techniques/T1059/004/"
    strings:
        $bash = /\b(ba|z|da|a|k)?sh\s{1,4}-i\s{0,4}(>&|&>|[0-9]?>)\s{0,4}\/dev\/tcp\/[0-9A-Za-z.$\{\}_-]{3,80}\/[0-9$]{1,6}/
        $bash2 = /exec\s{1,4}[0-9]{1,3}<>\s{0,4}\/dev\/tcp\/[0-9]{1,3}\.[0-9.]{5,12}\/[0-9]{2,5}/
        $python = /\bos\.dup2\s{0,4}\(\s{0,4}[a-z]{1,10}\.fileno\s{0,4}\(\s{0,4}\)\s{0,4},\s{0,4}[012]\s{0,4}\)[^\n]{0,400}(pty\.spawn|subprocess\.(call|run|Popen)|os\.system)\s{0,4}\(\s{0,4}\[?\s{0,4}["'](\/bin\/)?(ba)?sh["']/
        $perl = /socket\s{0,4}\(\s{0,4}S\s{0,4},\s{0,4}PF_INET[^\n]{0,300}open\s{0,4}\(\s{0,4}STDIN\s{0,4},\s{0,4}["']>&S["']/
        $ruby = /TCPSocket\.(new|open)\s{0,4}\([^)\n]{4,60}\)[^\n]{0,80}exec\s{0,4}\(?\s{0,4}sprintf\s{0,4}\(\s{0,4}["']\/bin\/sh/
        $php = /fsockopen\s{0,4}\([^)\n]{4,60}\)\s{0,4};\s{0,4}(exec|shell_exec|system|passthru|proc_open)\s{0,4}\(\s{0,4}["']\/bin\/(ba)?sh\s{1,4}-i/
        $nc = /\b(nc|ncat|netcat)(\.traditional|\.openbsd)?\s{1,4}(-[a-z]{1,6}\s{1,4}){0,3}[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\s{1,4}[0-9]{2,5}\s{1,4}-[a-z]{0,4}[ec]\s{1,4}(\/bin\/)?(ba)?sh/
        $nc2 = /\b(nc|ncat|netcat)\s{1,4}-[a-z]{0,4}e\s{1,4}(\/bin\/)?(ba)?sh\s{1,4}[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}/
        $fifo = /mkfifo\s{1,4}(\/tmp\/)[^\n]{1,120}\|\s{0,4}(\/bin\/)?(ba)?sh\s{1,4}-i\s{1,4}2>&1\s{0,4}\|\s{0,4}(nc|ncat|netcat|openssl|telnet)\s/
        $socat = /\bsocat\s[^\n]{0,80}exec:["']?(\/bin\/)?(ba)?sh[^\n]{0,80}pty[^\n]{0,80}tcp:/i
    condition:
        filesize < 1MB and any of them
}

rule dropper_script
{
    meta:
        level = "HIGH"
        title = "Script that fetches a miner and removes its rivals"
        reference = "https://attack.mitre.org/techniques/T1496/"
    strings:
        $k1 = /(pkill|killall)\s{1,4}(-9?f?\s{1,4}|-f\s{1,4}){0,2}(kinsing|kdevtmpfsi|xmrig|minerd|sysupdate|networkservice|watchbog|kthreaddi)/
        $k2 = /(curl|wget)\s[^\n]{0,120}\|\s{0,4}(ba)?sh/
        $k3 = /\/etc\/ld\.so\.preload/
        $k4 = /chattr\s{1,4}[-+]i[a]?\s{1,4}(\/etc\/|\/root\/|\/usr\/)/
        $k5 = /crontab\s{1,4}-r\b/
        $k6 = /(setenforce\s{1,4}0|ufw\s{1,4}disable|iptables\s{1,4}-F\b)/
    condition:
        filesize < 1MB and uint32(0) != 0x464c457f and $k1 and 2 of ($k2, $k3, $k4, $k5, $k6)
}

// Malicious samples of any kind: programs, libraries, and what is looked for everywhere.
// Each rule has `level`, `title` and `reference`; its samples are beside the tests. docs/rule-packs.md tells more.

rule eicar_test_file
{
    meta:
        level = "HIGH"
        title = "EICAR test file"
        advice = "Harmless: it shows that malware would be found. Take it out of the image."
        reference = "https://www.eicar.org/download-anti-malware-testfile/"
    strings:
        $a = "$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    condition:
        uint32be(0) == 0x58354f21 and $a at 27 and filesize < 129
}

rule miner_program
{
    meta:
        level = "HIGH"
        title = "Program that mines cryptocurrency"
        reference = "https://attack.mitre.org/techniques/T1496/"
    strings:
        $pool = "stratum+"
        $a1 = "donate-level"
        $a2 = "donate.v2.xmrig"
        $b1 = "randomx"
        $b2 = "RandomX"
        $c1 = "cryptonight"
        $c2 = "CryptoNight"
        $d1 = "xmrig"
        $d2 = "XMRig"
        $e1 = "ethash"
        $e2 = "Ethash"
        $f = "nicehash"
        $g = "hashrate"
        $h1 = "kawpow"
        $h2 = "astrobwt"
        $h3 = "argon2/chukwa"
    condition:
        (uint32(0) == 0x464c457f or uint16(0) == 0x5a4d or uint32(0) == 0xfeedfacf) and
        (($pool and 3 of ($a*, $b*, $c*, $d*, $e*, $f, $g, $h*)) or
            (any of ($d*) and 4 of ($a*, $b*, $c*, $e*, $f, $g, $h*)))
}

rule botnet_program
{
    meta:
        level = "CRITICAL"
        title = "Program of a botnet"
        reference = "https://attack.mitre.org/techniques/T1583/005/"
    strings:
        $m1 = "/bin/busybox MIRAI"
        $m2 = "/bin/busybox "
        $m3 = "TSource Engine Query"
        $m4 = "POST /cdn-cgi/"
        $t1 = "NOTICE %s :TSUNAMI <target> <secs>"
        $t2 = "NOTICE %s :Spoofs: %d.%d.%d.%d"
        $t3 = "NOTICE %s :PUSH <target> <port> <secs>"
        $g1 = "HOLD Flooding %s:%d for %d seconds."
        $g2 = "JUNK Flooding %s:%d for %d seconds."
        $k1 = "kdevtmpfsi"
        $k2 = "main.minerRunningCheck"
        $k3 = "kinsing"
    condition:
        uint32(0) == 0x464c457f and filesize < 20MB and
        ($m1 or ($m2 and $m3 and $m4) or 2 of ($t1, $t2, $t3) or all of ($g1, $g2) or ($k2 and ($k1 or $k3)))
}

rule preload_rootkit
{
    meta:
        level = "CRITICAL"
        title = "Library that hides processes and files"
        reference = "https://attack.mitre.org/techniques/T1574/006/"
    strings:
        $a = "process_to_filter"
        $b = "azazel"
        $c = "jynx"
        $d = "ld_poison"
        $e = "bdvl"
        $readdir = "readdir64"
        $dlsym = "dlsym"
        $proc = "/proc/self/fd/%d"
        $pam = "pam_sm_authenticate"
        $owner = "HIDE_THIS_SHELL"
    condition:
        uint32(0) == 0x464c457f and filesize < 2MB and $dlsym and $readdir and
        (($a and $proc) or $owner or (any of ($b, $c, $d, $e) and ($pam or $proc)))
}

rule kernel_rootkit
{
    meta:
        level = "CRITICAL"
        title = "Kernel module that hides processes and files"
        reference = "https://attack.mitre.org/techniques/T1014/"
    strings:
        $a = "diamorphine"
        $b = "reptile_module"
        $c = "suterusu"
        $d = "hook_getdents64"
        $e = "give_root"
        $mod = "vermagic="
    condition:
        uint32(0) == 0x464c457f and filesize < 5MB and $mod and (any of ($a, $b, $c) or ($d and $e))
}

rule exploit_framework
{
    meta:
        level = "CRITICAL"
        title = "Implant of an exploitation framework"
        reference = "https://attack.mitre.org/software/"
    strings:
        $m1 = "core_channel_open"
        $m2 = "stdapi_fs_"
        $m3 = "mettle"
        $s1 = "github.com/bishopfox/sliver/implant"
        $s2 = "sliverpb."
        $p1 = "merlin/pkg/agent"
        $c1 = "%%IMPORT%%"
        $c2 = "beacon.x64.dll"
        $c3 = "ReflectiveLoader"
    condition:
        (uint32(0) == 0x464c457f or uint16(0) == 0x5a4d) and
        (($m1 and $m2 and $m3) or ($s1 and $s2) or $p1 or ($c2 and $c3) or ($c1 and $c3))
}

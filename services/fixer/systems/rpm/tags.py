"""Tags of rpm's headers that fixing needs (rpm 4.18, `include/rpm/rpmtag.h`), and the flags beside them."""

from __future__ import annotations

from typing import Final

SIGMD5: Final = 261
SHA1HEADER: Final = 269

NAME: Final = 1000
VERSION: Final = 1001
RELEASE: Final = 1002
EPOCH: Final = 1003
BUILD_TIME: Final = 1006
INSTALL_TIME: Final = 1008
GROUP: Final = 1016
ARCH: Final = 1022
SCRIPTS: Final = {
    "%pre": 1023,
    "%post": 1024,
    "%preun": 1025,
    "%postun": 1026,
    "%pretrans": 1151,
    "%posttrans": 1152,
}
PROGRAMS: Final = {
    "%pre": 1085,
    "%post": 1086,
    "%preun": 1087,
    "%postun": 1088,
    "%pretrans": 1153,
    "%posttrans": 1154,
}
FILE_SIZES: Final = 1028
FILE_STATES: Final = 1029
FILE_MODES: Final = 1030
FILE_RDEVS: Final = 1033
"""Of device files; `FILE_DEVICES` is 1095."""
FILE_TIMES: Final = 1034
FILE_DIGESTS: Final = 1035
FILE_TARGETS: Final = 1036
FILE_FLAGS: Final = 1037
FILE_USERS: Final = 1039
FILE_GROUPS: Final = 1040
SOURCE_RPM: Final = 1044
PROVIDE_NAMES: Final = 1047
REQUIRE_FLAGS: Final = 1048
REQUIRE_NAMES: Final = 1049
REQUIRE_VERSIONS: Final = 1050
CONFLICT_FLAGS: Final = 1053
CONFLICT_NAMES: Final = 1054
CONFLICT_VERSIONS: Final = 1055
TRIGGER_SCRIPTS: Final = 1065
TRIGGER_NAMES: Final = 1066
TRIGGER_VERSIONS: Final = 1067
TRIGGER_FLAGS: Final = 1068
TRIGGER_INDEXES: Final = 1069
TRIGGER_PROGRAMS: Final = 1092
OBSOLETE_NAMES: Final = 1090
FILE_DEVICES: Final = 1095
FILE_INODES: Final = 1096
FILE_LANGUAGES: Final = 1097
PROVIDE_FLAGS: Final = 1112
PROVIDE_VERSIONS: Final = 1113
OBSOLETE_FLAGS: Final = 1114
OBSOLETE_VERSIONS: Final = 1115
DIR_INDEXES: Final = 1116
BASE_NAMES: Final = 1117
DIR_NAMES: Final = 1118
PAYLOAD_FORMAT: Final = 1124
SOURCE_PACKAGE: Final = 1106
PAYLOAD_COMPRESSOR: Final = 1125
INSTALL_COLOR: Final = 1127
INSTALL_TID: Final = 1128
FILE_COLORS: Final = 1140
LONG_FILE_SIZES: Final = 5008
FILE_CAPABILITIES: Final = 5010
FILE_DIGEST_ALGORITHM: Final = 5011
RECOMMEND_NAMES: Final = 5046
SUGGEST_NAMES: Final = 5049
SUPPLEMENT_NAMES: Final = 5052
ENHANCE_NAMES: Final = 5055
FILE_TRIGGER_SCRIPTS: Final = 5066
FILE_TRIGGER_PROGRAMS: Final = 5067
FILE_TRIGGER_NAMES: Final = 5069
FILE_TRIGGER_INDEXES: Final = 5070
TRANS_FILE_TRIGGER_SCRIPTS: Final = 5076
TRANS_FILE_TRIGGER_PROGRAMS: Final = 5077
TRANS_FILE_TRIGGER_NAMES: Final = 5079
TRANS_FILE_TRIGGER_INDEXES: Final = 5080
PAYLOAD_DIGESTS: Final = 5092
PAYLOAD_DIGEST_ALGORITHM: Final = 5093
MODULARITY_LABEL: Final = 5096

# FILE_FLAGS (rpmfiles.h)
CONFIG: Final = 1 << 0
DOC: Final = 1 << 1
MISSING_OK: Final = 1 << 3
NO_REPLACE: Final = 1 << 4
GHOST: Final = 1 << 6
LICENSE: Final = 1 << 7

# FILE_STATES
NORMAL: Final = 0
NOT_INSTALLED: Final = 2
WRONG_COLOR: Final = 4

# flags of dependencies (rpmds.h)
LESS: Final = 1 << 1
GREATER: Final = 1 << 2
EQUAL: Final = 1 << 3
TRIGGER_PREIN: Final = 1 << 25
TRIGGER_IN: Final = 1 << 16
TRIGGER_UN: Final = 1 << 17
TRIGGER_POSTUN: Final = 1 << 18
WHILE_INSTALLED: Final = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 24 | 1 << 26
"""Requirements of what runs at installation, of rpm itself, of its keyring: of no concern later on..."""
WHILE_REMOVED: Final = 1 << 11 | 1 << 12
META: Final = 1 << 29
"""...unless they are one of these as well."""

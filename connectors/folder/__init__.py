"""A folder as a national system: hand-ins by rename, results and messages as files, nothing ever deleted.

::

    exchange/
      tmp/                      build a hand-in here, then rename it into out/
      out/<id>/                 manifest.json, document.json, files; read once complete, since it came by a rename
      sent/<id>/                a hand-in that was taken, as it was
      acks/<id>.<level>.json    accepted, delivered, opened, acknowledged, answered: a summary and the signed evidence
      failed/<id>/problem.json  why it will not arrive (RFC 9457); hand-in/ holds what was handed in, if it was not taken
      in/<message>/             message.json, document.json, files/: one received message
      in/<flag>.flag.json       what the hub says of a clock (warning, overdue, met, met-late, ignored)
      authorities.json          whom one can write to, from the trust list; the gateway keeps it up to date
"""

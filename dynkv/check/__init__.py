"""Decides from a history whether a cluster kept its word. Pure: what clients were told goes in, anomalies come out.

    history     operations and faults, as lines of JSON
    lineage     of one key: which value had been written by somebody who had seen which
    set_checker, register_checker, counter_checker, session_checker     one for each workload
    verdict     clean, anomalies, or unknown because too little was done
    chances     which faults come when, drawn from a seed
    report, timeline    the verdict as a page, with a picture

Every value is written once and never again, so that a value names its write. That makes checking exact and quick: from
what was read one can tell which writes were seen, and no search over possible orders is needed.
"""

"""Write the contacts that tell macrostates apart, and how probable they are in each."""

import logging

from geom2msm.annotation import read_weighted_frames
from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.state_contacts import compare_states, contact_probabilities, read_contacts, sum_contacts


def main(contacts: list[str], states: str, msm: str, differences: str, probabilities: str) -> None:
    """Compare the probabilities of all contacts between all pairs of states."""
    known = read_contacts(contacts, like=states)
    frames = read_weighted_frames(states, msm).only(known.frames, each_for=known.each_for)
    logging.info("%d contacts in %d frames", len(known.names), len(known.frames))
    sums = sum_contacts(frames, known.touching)
    compared = compare_states(sums, known.names)
    chosen = list(dict.fromkeys(compared.contact))
    with replace_when_complete(differences) as part:
        compared.to_csv(part, index=False, float_format="%.7g")
    with replace_when_complete(probabilities) as part:
        contact_probabilities(sums, known.names, chosen).to_csv(part, index=False, float_format="%.7g")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)

# What the states look like: observables of every frame, their means in each state, contacts, structures.


rule measure_observables:
    input:
        file=trajectory_file,
        topology=topology_file,
        inventory="<results>/{system}/trajectories/{trajectory}.json",
        reference=reference_file,
        table=observable_table,
    output:
        observables="<results>/{system}/observables/{trajectory}.zarr.zip",
        contacts="<results>/{system}/contacts/{trajectory}.npz",
    log:
        "<logs>/{system}/measure_observables/{trajectory}.log",
    conda:
        "../../envs/measure_observables.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(240),
    params:
        settings=observable_settings,
        source=source_digest("measure_observables"),
    script:
        "../../scripts/measure_observables.py"


rule annotate_states:
    input:
        observables=per_trajectory("<results>/{system}/observables/{trajectory}.zarr.zip"),
        states="<results>/{system}/states/{model}.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        annotation="<results>/{system}/msm/{model}/annotation.csv",
    log:
        "<logs>/{system}/annotate_states/{model}.log",
    conda:
        "../../envs/annotate_states.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(60),
    params:
        source=source_digest("annotate_states"),
    script:
        "../../scripts/annotate_states.py"


rule compare_contacts:
    input:
        contacts=per_trajectory("<results>/{system}/contacts/{trajectory}.npz"),
        states="<results>/{system}/states/{model}.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        differences="<results>/{system}/msm/{model}/contacts.csv",
        probabilities="<results>/{system}/msm/{model}/contact_probabilities.csv",
    log:
        "<logs>/{system}/compare_contacts/{model}.log",
    conda:
        "../../envs/compare_contacts.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(60),
    params:
        source=source_digest("compare_contacts"),
    script:
        "../../scripts/compare_contacts.py"


rule extract_structures:
    input:
        states="<results>/{system}/states/{model}.zarr.zip",
        variables="<results>/{system}/variables/{model}.zarr.zip",
        inventories=per_trajectory("<results>/{system}/trajectories/{trajectory}.json"),
        msm="<results>/{system}/msm/{model}/msm.npz",
        table="<results>/{system}/msm/{model}/states.csv",
        tokens="<results>/{system}/tokens.csv",
        importance=importance_table,
    output:
        structure="<results>/{system}/msm/{model}/structures/state-{state}.pdb",
        ensemble="<results>/{system}/msm/{model}/structures/state-{state}.xtc",
        frames="<results>/{system}/msm/{model}/structures/state-{state}.csv",
    log:
        "<logs>/{system}/extract_structures/{model}/state-{state}.log",
    conda:
        "../../envs/extract_structures.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(60),
    params:
        settings=structure_settings,
        source=source_digest("extract_structures"),
    script:
        "../../scripts/extract_structures.py"

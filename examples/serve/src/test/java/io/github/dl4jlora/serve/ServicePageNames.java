package io.github.dl4jlora.serve;

import java.nio.file.Path;

/** What docs/guide/service.md leaves to the reader: the name that a block uses and does not declare. */
public class ServicePageNames {

    protected Path adapters;
}

package io.github.dl4jlora.internal.keras;

import org.deeplearning4j.nn.modelimport.keras.Hdf5Archive;
import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Objects;

/** A file of weights that shows those of one layer alone: DL4J's importer reads all that it finds. */
final class OneLayer extends Hdf5Archive {

    private @Nullable String layer;

    OneLayer(String file) {
        super(file);
    }

    void show(String name) {
        layer = name;
    }

    @Override
    public List<String> getGroups(String... groups) {
        return super.getGroups(groups).stream().filter(Objects.requireNonNull(layer)::equals).toList();
    }
}

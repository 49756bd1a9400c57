package io.github.dl4jlora.internal.keras;

import org.deeplearning4j.nn.modelimport.keras.Hdf5Archive;

import java.util.List;

/** A file of weights that shows those of one layer alone: DL4J's importer reads all that it finds. */
final class OneLayer extends Hdf5Archive {

    private String layer;

    OneLayer(String file) {
        super(file);
    }

    void show(String name) {
        layer = name;
    }

    @Override
    public List<String> getGroups(String... groups) {
        return super.getGroups(groups).stream().filter(layer::equals).toList();
    }
}

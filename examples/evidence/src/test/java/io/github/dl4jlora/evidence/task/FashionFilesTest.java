package io.github.dl4jlora.evidence.task;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.dataset.DataSet;

import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.GZIPOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class FashionFilesTest {

    private static final String IMAGES = "train-images-idx3-ubyte.gz";
    private static final String LABELS = "train-labels-idx1-ubyte.gz";

    @TempDir
    private Path folder;

    @BeforeEach
    void threePicturesWithOneWhitePixelEach() throws IOException {
        images(0x803, 3, 28, 3);
        labels(3, 9, 0);
    }

    @Test
    void picturesComeInBatchesAsTheyStandInTheFile() throws IOException {
        List<DataSet> batches = FashionFiles.read(folder, "train", 3).batches(2, false);
        assertThat(batches).extracting(DataSet::numExamples).containsExactly(2, 1);
        // The white pixel of picture i is at row 0, column i.
        assertThat(batches.get(0).getFeatures().getDouble(1, 1)).isEqualTo(1);
        assertThat(batches.get(0).getFeatures().getRow(1).sumNumber().doubleValue()).isEqualTo(1);
        assertThat(batches.get(0).getLabels().argMax(1).toIntVector()).containsExactly(3, 9);
    }

    @Test
    void turnedPicturesHaveTheirTopRowAtTheRight() throws IOException {
        DataSet turned = FashionFiles.read(folder, "train", 3).batches(3, true).get(0);
        assertThat(turned.getFeatures().getDouble(2, 2 * 28 + 27)).isEqualTo(1);
        assertThat(turned.getFeatures().getRow(2).sumNumber().doubleValue()).isEqualTo(1);
    }

    @Test
    void fewerPicturesThanAskedForAreRefused() {
        assertThatThrownBy(() -> FashionFiles.read(folder, "train", 4)).isInstanceOf(IOException.class)
                .hasMessageContaining(IMAGES).hasMessageContaining("fewer than 4");
    }

    @Test
    void damagedFilesAreNamed() throws IOException {
        images(0x803, 3, 27, 3);
        assertThatThrownBy(() -> FashionFiles.read(folder, "train", 3)).hasMessageContaining("28 by 28");
        images(0x801, 3, 28, 3);
        assertThatThrownBy(() -> FashionFiles.read(folder, "train", 3)).hasMessageContaining(IMAGES);
        images(0x803, 3, 28, 2);
        assertThatThrownBy(() -> FashionFiles.read(folder, "train", 3)).isInstanceOf(IOException.class)
                .hasMessageContaining("ends early");
        images(0x803, 3, 28, 3);
        labels(3, 10, 0);
        assertThatThrownBy(() -> FashionFiles.read(folder, "train", 3)).hasMessageContaining("label");
        Files.writeString(folder.resolve(LABELS), "no gzip");
        assertThatThrownBy(() -> FashionFiles.read(folder, "train", 3)).isInstanceOf(IOException.class)
                .hasMessageContaining(LABELS);
        Files.delete(folder.resolve(IMAGES));
        assertThatThrownBy(() -> FashionFiles.read(folder, "train", 3)).isInstanceOf(NoSuchFileException.class);
    }

    private void images(int magic, int said, int side, int there) throws IOException {
        try (DataOutputStream out = open(IMAGES)) {
            out.writeInt(magic);
            out.writeInt(said);
            out.writeInt(side);
            out.writeInt(side);
            for (int i = 0; i < there; i++) {
                byte[] picture = new byte[side * side];
                picture[i] = (byte) 255;
                out.write(picture);
            }
        }
    }

    private void labels(int... labels) throws IOException {
        try (DataOutputStream out = open(LABELS)) {
            out.writeInt(0x801);
            out.writeInt(labels.length);
            for (int label : labels) {
                out.write(label);
            }
        }
    }

    private DataOutputStream open(String name) throws IOException {
        return new DataOutputStream(new GZIPOutputStream(Files.newOutputStream(folder.resolve(name))));
    }
}

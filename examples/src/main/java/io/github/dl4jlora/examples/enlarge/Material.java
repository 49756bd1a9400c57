package io.github.dl4jlora.examples.enlarge;

import io.github.dl4jlora.examples.Text;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.awt.Font;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Print for training; print and photographs for testing. The print for testing is set in typefaces, and from a text, that are not
 * used for training.
 *
 * @param batches     features [4, 3, 24, 24], labels [4, 3, 48, 48]
 * @param print       pages
 * @param photographs which the network was made for
 */
record Material(List<DataSet> batches, List<Picture> print, List<Picture> photographs) {

    /** Pictures of a batch. */
    static final int BATCH = 4;
    /** Height and width in pixels of a picture to be enlarged. */
    static final int SIDE = 24;

    static final List<String> LEARNED_FACES = List.of("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf",
            "DejaVuSansMono.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSerif-Italic.ttf");
    static final List<String> TESTED_FACES = List.of("400Regular/Lora_400Regular.ttf",
            "400Regular_Italic/Lora_400Regular_Italic.ttf", "700Bold/Lora_700Bold.ttf");
    private static final float[] TESTED_SIZES = {16, 20, 24, 28};
    private static final int TESTED_SIDE = 192;
    /** Seed of the test pages, which do not depend on the seed of a training. */
    private static final long TESTED = 1;
    private static final String LEARNED_TEXT = "alice.txt.gz";
    private static final String TESTED_TEXT = "shakespeare.txt.gz";

    /**
     * @param folder as the script fills it
     * @param number of batches
     * @param brief  whether to test with a few pictures only
     */
    static Material of(Path folder, int number, boolean brief, long seed) throws IOException {
        Print learned = new Print(Print.faces(folder.resolve("fonts/dejavu"), LEARNED_FACES),
                Text.load(LEARNED_TEXT).characters());
        List<Picture> print = testedPrint(Print.faces(folder.resolve("fonts/lora"), TESTED_FACES));
        List<Picture> photographs = Photographs.read(folder.resolve("photographs"), TESTED_SIDE);
        return new Material(batches(learned, number, seed), brief ? print.subList(0, 1) : print,
                brief ? photographs.subList(0, 1) : photographs);
    }

    /** {@return pages of several faces and sizes, and a photograph} */
    List<Picture> some() {
        List<Picture> some = new ArrayList<>();
        for (int i = 0; i < print.size(); i += TESTED_FACES.size() + 1) {
            some.add(print.get(i));
        }
        some.add(photographs.get(0));
        return some;
    }

    private static List<Picture> testedPrint(List<Font> faces) {
        Print tested = new Print(faces, Text.load(TESTED_TEXT).characters());
        Random random = new Random(TESTED);
        List<Picture> pages = new ArrayList<>();
        for (float size : TESTED_SIZES) {
            faces.forEach(face -> pages.add(tested.page(TESTED_SIDE, TESTED_SIDE, face, size, random)));
        }
        return pages;
    }

    private static List<DataSet> batches(Print print, int number, long seed) {
        Random random = new Random(seed);
        List<DataSet> batches = new ArrayList<>();
        for (int i = 0; i < number; i++) {
            INDArray[] small = new INDArray[BATCH];
            INDArray[] large = new INDArray[BATCH];
            for (int j = 0; j < BATCH; j++) {
                Picture page = print.page(4 * SIDE, 4 * SIDE, random).part(random.nextInt(2 * SIDE), random.nextInt(2 * SIDE),
                        2 * SIDE, 2 * SIDE);
                small[j] = page.half().array();
                large[j] = page.array();
            }
            batches.add(new DataSet(Nd4j.concat(0, small), Nd4j.concat(0, large)));
        }
        return batches;
    }
}

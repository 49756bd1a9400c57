package io.github.dl4jlora.examples.enlarge;

import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;
import java.awt.image.BufferedImage;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Stream;

/** Photographs in files. */
final class Photographs {

    private static final int MOST_PIXELS = 1 << 24;

    private Photographs() {
    }

    /**
     * The middles of all photographs below a folder, each first made half as large, which removes traces of JPEG.
     *
     * @param side at most so many pixels high and wide
     * @throws FileNotFoundException if the folder does not exist or has no photographs
     * @throws IOException           if a file is not a picture, or is very large
     */
    static List<Picture> read(Path folder, int side) throws IOException {
        List<Picture> pictures = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (Stream<Path> files = Files.walk(folder.toRealPath())) {
                for (Path file : files.filter(path -> path.toString().endsWith(".jpg")).sorted().toList()) {
                    pictures.add(Picture.of(image(file)).half().middle(side));
                }
            }
        }
        if (pictures.isEmpty()) {
            throw new FileNotFoundException("There are no photographs (.jpg) in " + folder.toAbsolutePath().normalize());
        }
        return pictures;
    }

    private static BufferedImage image(Path file) throws IOException {
        try (ImageInputStream in = ImageIO.createImageInputStream(file.toFile())) {
            Iterator<ImageReader> readers = ImageIO.getImageReaders(in);
            if (!readers.hasNext()) {
                throw new IOException(file + " is not a picture that Java can read");
            }
            ImageReader reader = readers.next();
            try {
                reader.setInput(in);
                // Checked before anything of that size is allocated.
                if ((long) reader.getWidth(0) * reader.getHeight(0) > MOST_PIXELS) {
                    throw new IOException(file + " has " + reader.getWidth(0) + " by " + reader.getHeight(0)
                            + " pixels, but at most " + MOST_PIXELS + " are read");
                }
                return reader.read(0);
            } finally {
                reader.dispose();
            }
        }
    }
}
